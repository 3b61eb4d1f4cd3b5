"""Corpora that the tests make, and the sample in the repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.sources import COLUMNS, SCHEMA, Kind, Source
from visdiv_assets.sources import open as open_source

Rows = list[dict[str, Any]]


def plain_rows(count: int, start: int = 0) -> Rows:
    """Rows in normalized form; row i holds i % 3 images whose bytes say which they are."""
    return [
        {
            "images": [
                {"bytes": f"image {row}.{index}".encode(), "path": f"{row}_{index}.png"} for index in range(row % 3)
            ],
            "texts": [{"user": f"question {row}", "assistant": f"answer {row}"}],
            "source": f"origin {row % 2}",
            "relevance_ratings": [row % 5 + 1],
            "image_correspondence_ratings": [None, 3],
            "visual_dependency_ratings": [],
            "formatting_ratings": None,
        }
        for row in range(start, start + count)
    ]


class Corpus:
    """A folder in the sample's layout that a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(
        self,
        table: pa.Table | Rows,
        name: str = "some",
        file: str = "train-00000-of-00001.parquet",
        kind: Kind = Kind.SUBSET,
        **options: Any,
    ) -> Path:
        """Write one Parquet file; rows are written in the normalized schema."""
        path = self.root / kind.value / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pylist(table, SCHEMA), path, **options)
        return path

    def open(self) -> Source:
        """The source that reads the folder."""
        return open_source(str(self.root))

    def read(
        self,
        name: str = "some",
        kind: Kind = Kind.SUBSET,
        columns: Sequence[str] = COLUMNS,
        batch_rows: int = 64,
    ) -> Rows:
        """All rows of a subset."""
        return [row for batch in self.batches(name, kind, columns, batch_rows) for row in batch.to_pylist()]

    def batches(
        self,
        name: str = "some",
        kind: Kind = Kind.SUBSET,
        columns: Sequence[str] = COLUMNS,
        batch_rows: int = 64,
    ) -> Iterator[pa.RecordBatch]:
        """All batches of a subset."""
        source = self.open()
        for shard in source.shards(kind, name):
            yield from source.batches(kind, name, shard, columns=columns, batch_rows=batch_rows)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """An empty folder `corpus`."""
    root = tmp_path / "corpus"
    (root / Kind.SUBSET.value).mkdir(parents=True)
    return Corpus(root)


@pytest.fixture(scope="session")
def sample() -> Path:
    """The sample in the repository."""
    return Path(__file__).parents[2] / "data" / "sample"
