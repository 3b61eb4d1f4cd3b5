"""Claim all pairs of files whose SSCD vectors have at least a cosine similarity, the rule of FineVision's authors.

`python -m visdiv_assets.perf.peers.by_similarity THRESHOLD FOLDER OUT.json` writes the pairs, as `in_peer.py` does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from visdiv_assets.embedding.extract import SSCDEmbedder

BLOCK = 2048


def pairs_above(vectors: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Return the pairs i < j whose rows have at least this dot product; float32 [n, dimension]."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(vectors), BLOCK):
        rows, columns = np.nonzero(vectors[start : start + BLOCK] @ vectors.T >= threshold)
        later = columns > rows + start
        found += zip((rows[later] + start).tolist(), columns[later].tolist(), strict=True)
    return found


def main(threshold: str, folder: str, out: str) -> None:
    """Embed the files of the folder and write the pairs."""
    vectors, paths, _ = SSCDEmbedder().extract(folder)
    pairs = [(paths[one].name, paths[other].name) for one, other in pairs_above(vectors, float(threshold))]
    Path(out).write_text(json.dumps(pairs))


if __name__ == "__main__":
    main(*sys.argv[1:])
