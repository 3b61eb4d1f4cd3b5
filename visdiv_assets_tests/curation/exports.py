"""Helpers of the tests of the export."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.curation.export import DROPPED_SCHEMA, SubsetDecision
from visdiv_assets.sources import SCHEMA, Kind, Source
from visdiv_assets.sources.versions import version_of


class FinishedItems:
    """A `Progress` that counts finished items."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, done: int) -> None:
        self.count += done


def decide(
    source: Source, subset: str, kept: Sequence[bool] | np.ndarray | None = None, seed: int = 0, reason: str = "quality"
) -> SubsetDecision:
    """A decision, by default a random one; every row is dropped for the same reason."""
    version = version_of(source, Kind.SUBSET, subset)
    if kept is None:
        kept = np.random.default_rng(seed).random(version.rows) < 0.6
    mask = np.asarray(kept, bool)
    return SubsetDecision(subset, version, mask, dropped(subset, np.flatnonzero(~mask).tolist(), reason))


def dropped(subset: str, rows: Sequence[int], reason: str = "quality") -> pa.Table:
    """Entries of rows that are dropped for one reason."""
    return pa.Table.from_pylist(
        [{"subset": subset, "row": row, "reason": reason, "detail": f"row {row}"} for row in rows], DROPPED_SCHEMA
    )


def snapshot(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, hidden ones too, by relative path."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def write(root: Path, subset: str, table: pa.Table, file: str = "train-00000-of-00001.parquet", **options: Any) -> Path:
    """Write a shard of a source."""
    path = root / "subsets" / subset / file
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def rows(count: int, start: int = 0) -> pa.Table:
    """Rows in the normalized schema; `source` tells them apart."""
    return pa.Table.from_pylist(
        [
            {
                "images": [{"bytes": f"image {row}.{index}".encode(), "path": None} for index in range(row % 3)],
                "texts": [{"user": f"question {row}", "assistant": "answer"}],
                "source": f"row {row}",
            }
            for row in range(start, start + count)
        ],
        SCHEMA,
    )


# In a separate process, because the Hub's settings are read at import. An image is described by its mode and size.
LOAD = r"""
import json, sys
import datasets
from PIL import Image

def describe(value):
    if isinstance(value, Image.Image):
        return ["image", value.mode, *value.size]
    if isinstance(value, dict):
        return {key: describe(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [describe(entry) for entry in value]
    return f"{len(value)} bytes" if isinstance(value, bytes) else value

results = []
for arguments, rows in json.loads(sys.argv[1]):
    data = datasets.load_dataset(**arguments, split="train", cache_dir=sys.argv[2])
    chosen = range(len(data)) if rows is None else rows
    examples = [describe(data[row]) for row in chosen]
    results.append({"rows": len(data), "columns": data.column_names, "examples": examples})
print(json.dumps(results))
"""


def load(cache: Path, *loads: tuple[dict[str, Any], list[int] | None]) -> list[dict[str, Any]]:
    """What `datasets.load_dataset` gives for some arguments: number of rows, columns, and some examples (None: all)."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(cache / "home"),
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(loads), str(cache)], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    results: list[dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return results
