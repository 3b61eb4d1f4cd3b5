"""Write subsets whose rows have given texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.sources.schema import SCHEMA

#: The images of a row, and its questions and answers.
Told = tuple[Sequence[bytes], Sequence[tuple[str, str]]]


def write_told(source: Path, subset: str, rows: Sequence[Told]) -> Path:
    """Write one Parquet file of a subset in FineVision's columns, without ratings."""
    path = source / "subsets" / subset / "train-00000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {
            "images": [{"bytes": data, "path": None} for data in images],
            "texts": [{"user": question, "assistant": answer} for question, answer in turns],
            "source": "test",
        }
        for images, turns in rows
    ]
    pq.write_table(pa.Table.from_pylist(records, SCHEMA), path)
    return path
