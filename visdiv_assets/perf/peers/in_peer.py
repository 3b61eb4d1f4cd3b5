"""Run another tool on a folder of images and write the pairs of files that it claims to be copies.

The Python in which the tool is installed runs this file, so that it imports nothing of this package:
`PYTHON in_peer.py TOOL METHOD FOLDER OUT.json`.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path


def immaculate(method: str, folder: str) -> list[tuple[str, str]]:
    """Return all pairs of each set of exact or near duplicates."""
    result = importlib.import_module("immaculate").find_duplicates(folder, method=method)
    return [pair for files in (*result.exact, *result.near) for pair in combinations(_names(files), 2)]


def imagededup(method: str, folder: str) -> list[tuple[str, str]]:
    """Return the pairs at the tool's default threshold."""
    finder = getattr(importlib.import_module("imagededup.methods"), method)(verbose=False)
    found = finder.find_duplicates(image_dir=folder)
    return [(file, copy) for file, copies in found.items() for copy in copies]


def fastdup(method: str, folder: str) -> list[tuple[str, str]]:
    """Return the pairs of images and their nearest neighbors at the tool's default threshold."""
    with tempfile.TemporaryDirectory() as work:
        run = importlib.import_module("fastdup").create(work_dir=work, input_dir=folder)
        run.run(overwrite=True)
        found = run.similarity(data=True)
        if not len(found):
            return []
        ends = [_names(found[f"filename_{side}"]) for side in ("from", "to")]
        return list(zip(*ends, strict=True))


TOOLS: dict[str, Callable[[str, str], list[tuple[str, str]]]] = {
    "immaculate": immaculate,
    "imagededup": imagededup,
    "fastdup": fastdup,
}


def _names(files: Iterable[str]) -> list[str]:
    return [Path(file).name for file in files]


if __name__ == "__main__":
    tool, chosen, images, out = sys.argv[1:]
    pairs = TOOLS[tool](chosen, images)
    Path(out).write_text(json.dumps(sorted(pairs)))
