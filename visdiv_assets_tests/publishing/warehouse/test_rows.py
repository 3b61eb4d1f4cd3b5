"""The table of rows in the DuckDB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.ingest.turns import TURN_COUNTS_SCHEMA, TURNS_SCHEMA
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.publishing.warehouse.rows import EXCERPT
from visdiv_assets.sources.schema import UNREAD
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.lakes import A, B
from visdiv_assets_tests.publishing.warehouse.published_files import query

FILES = [("one.parquet", 2), ("empty.parquet", 0), ("two.parquet", 3)]
#: row, turn, question, answer, ratings by relevance and formatting
Turn = tuple[int, int, str | None, str | None, int | None, int | None]
TURNS: list[Turn] = [
    (0, 0, "kept", "row", 5, 4),
    (1, 0, "Who?", "x" * (EXCERPT + 1), 1, None),
    (1, 1, "second turn", "not shown", 2, 9),
    (3, 0, None, "only an answer", None, None),
]


def list_images(lake: Lake, positions: Sequence[tuple[int, str | None]], rows: int, files: Sequence[Any]) -> None:
    """Write the images of the subset `some`: row, and file if each row is one."""
    records = [
        {"row": row, "image_index": 0, "image_id": A if row == 0 else B, "status": "ok", "size_bytes": 1, "file": file}
        for row, file in positions
    ]
    write = lake.write("subset_images", "some", code_version="1", source_revision="1")
    with write.add("shard") as unit:
        unit.table("rows", pa.Table.from_pylist(records, IMAGES_SCHEMA), IMAGES_SCHEMA)
    count = len(positions)
    write.commit(rows=rows, images=count, images_unique=min(count, 2), images_unreadable=0, files=files)


def store_turns(lake: Lake) -> None:
    columns = ("row", "turn", "user", "assistant", "relevance_ratings", "formatting_ratings")
    turns = [dict(zip(columns, turn, strict=True)) for turn in TURNS]
    counts = [{"turns": turns, UNREAD: 0} for turns in (1, 2, 0, 1, None)]
    write = lake.write("subset_turns", "some", code_version="1")
    with write.add("shard") as unit:
        unit.table("turns", pa.Table.from_pylist(turns, TURNS_SCHEMA), TURNS_SCHEMA)
        unit.table("rows", pa.Table.from_pylist(counts, TURN_COUNTS_SCHEMA), TURN_COUNTS_SCHEMA)
    write.commit()


def drop_rows(lake: Lake, subsets: Sequence[str], rows: Sequence[int]) -> None:
    dropped = [
        {"subset": "some", "row": row, "reason": "duplicate", "detail": "near copy", "witness": "some"} for row in rows
    ]
    write = lake.write("curated_rows", "all", code_version="1")
    with write.add("rows") as unit:
        unit.table("dropped", pa.Table.from_pylist(dropped, DROPPED_SCHEMA), DROPPED_SCHEMA)
    write.commit(subsets=list(subsets))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    list_images(lake, [(0, None), (1, None), (1, None), (3, None)], 5, FILES)
    return lake


def rows_of(lake: Lake, columns: str) -> list[tuple[Any, ...]]:
    path = Path(lake.files.root).parent / "visdiv.duckdb"
    published = publish(lake, path)
    assert published.differences == []
    return query(path, f'SELECT {columns} FROM rows ORDER BY "row"')


def test_every_row_has_its_file_and_images(lake: Lake) -> None:
    assert rows_of(lake, '"row", file, row_in_file, images') == [
        (0, "one.parquet", 0, 1),
        (1, "one.parquet", 1, 2),
        (2, "two.parquet", 0, 0),
        (3, "two.parquet", 1, 1),
        (4, "two.parquet", 2, 0),
    ]


def test_of_a_folder_of_images_each_row_is_a_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    list_images(lake, [(0, "a/b.jpg"), (1, "c.png")], 2, [])
    assert rows_of(lake, '"row", file, row_in_file') == [(0, "a/b.jpg", 0), (1, "c.png", 0)]


def test_rows_are_kept_or_dropped_with_a_reason(lake: Lake) -> None:
    drop_rows(lake, ["some"], [1])
    kept = (True, None, None)
    assert rows_of(lake, "kept, reason, witness") == [kept, (False, "duplicate", "some"), kept, kept, kept]


@pytest.mark.parametrize("decided", [False, True])
def test_rows_without_a_decision_are_neither_kept_nor_dropped(lake: Lake, decided: bool) -> None:
    if decided:
        drop_rows(lake, ["other"], [])
    assert rows_of(lake, "kept") == [(None,)] * 5


def test_ratings_are_means_over_the_turns(lake: Lake) -> None:
    assert rows_of(lake, "turns, rating, relevance, formatting") == [(None, None, None, None)] * 5
    store_turns(lake)
    assert rows_of(lake, "turns, rating, relevance, formatting") == [
        (1, 4.5, 5, 4),
        # A rating of 9 does not count.
        (2, 1.5, 1.5, None),
        (0, None, None, None),
        (1, None, None, None),
        (0, None, None, None),
    ]


def test_only_rows_in_findings_have_excerpts(lake: Lake) -> None:
    store_turns(lake)
    assert rows_of(lake, "question, answer") == [(None, None)] * 5
    drop_rows(lake, ["some"], [1, 3])
    assert rows_of(lake, "question, answer") == [
        (None, None),
        ("Who?", "x" * EXCERPT + "…"),
        (None, None),
        (None, "only an answer"),
        (None, None),
    ]
