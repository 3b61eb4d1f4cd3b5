"""Stored turns, read back as the rows of the source and as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus import turns as stored
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import ROW_COLUMNS, joined_texts, row_texts, stored_turns
from visdiv_assets.ingest.turns import RATING_COLUMNS, TURN_COLUMNS, TURN_COUNTS_SCHEMA, TURNS_SCHEMA, turn_rows
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.storage.lake import Lake

TURN = st.fixed_dictionaries({"user": st.none() | st.sampled_from(["", "q"]), "assistant": st.none() | st.text()})
ROW = st.none() | st.lists(st.tuples(TURN, st.none() | st.integers(1, 5)), max_size=4)
SHARDS = st.lists(st.lists(ROW, max_size=9), min_size=1, max_size=3)


def record(turns: Sequence[tuple[Mapping[str, str | None], int | None]] | None) -> dict[str, Any]:
    """Return a row of the source with these turns and ratings."""
    ratings = [rating for _, rating in turns or []]
    return {"texts": None if turns is None else [turn for turn, _ in turns], **dict.fromkeys(RATING_COLUMNS, ratings)}


def store(folder: Path, shards: Sequence[Sequence[dict[str, Any]]], *, parts: int = 1) -> Lake:
    """Store the rows of shards as the pass does, in a number of batches."""
    lake = Lake(folder)
    write = lake.write(LakeTable.SUBSET_TURNS, "some", code_version="1")
    first = 0
    for number, rows in enumerate(shards):
        batch = pa.RecordBatch.from_pylist(list(rows), schema_of(TURN_COLUMNS))
        step = max(1, -(-len(rows) // parts))
        made = [turn_rows(batch.slice(start, step), first + start) for start in range(0, len(rows), step)]
        with write.add(f"shard {number}") as unit:
            unit.table("turns", (turns for turns, _ in made), TURNS_SCHEMA)
            unit.table("rows", (counts for _, counts in made), TURN_COUNTS_SCHEMA)
        first += len(rows)
    write.commit()
    return lake


@settings(deadline=None, max_examples=40)
@given(SHARDS, st.integers(1, 3), st.integers(1, 4))
def test_rows_are_read_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[Any]], parts: int, batch_rows: int
) -> None:
    records = [[record(turns) for turns in rows] for rows in shards]
    lake = store(tmp_path_factory.mktemp("lake"), records, parts=parts)
    found = stored_turns(lake, lake.require(LakeTable.SUBSET_TURNS, "some"))
    assert [(shard.first_row, shard.rows) for shard in found] == [
        (sum(map(len, records[:number])), len(rows)) for number, rows in enumerate(records)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "BATCH_ROWS", batch_rows)
        for shard, rows in zip(found, records, strict=True):
            batches = list(shard.batches(ROW_COLUMNS))
            assert all(0 < batch.num_rows <= batch_rows for batch in batches)
            expected = [{"turns": None if row["texts"] is None else len(row["texts"]), **row} for row in rows]
            assert [row for batch in batches for row in batch.to_pylist()] == expected


def test_of_equal_rows_elsewhere_only_the_digest_differs(tmp_path: Path) -> None:
    rows = [record([({"user": "q", "assistant": "a"}, 3)]), record(None)]
    lake = store(tmp_path, [rows, rows])
    first, second = stored_turns(lake, lake.require(LakeTable.SUBSET_TURNS, "some"))
    assert list(first.batches(["texts"])) == list(second.batches(["texts"]))
    # The rows that later stages find are numbered across the shards.
    assert first.digest != second.digest


def test_the_turns_of_the_rows_asked_for_are_joined(tmp_path: Path) -> None:
    turns: list[tuple[dict[str, str | None], None]] = [
        ({"user": f"question {turn}", "assistant": "answer"}, None) for turn in range(3)
    ]
    lake = store(tmp_path, [[record(turns[:count]) for count in counts] for counts in ([0, 1, 2], [1, 1], [3])])
    assert row_texts(lake, "some", [5, 0, 2, 2, 3]) == {
        0: "",
        2: "question 0\nanswer\nquestion 1\nanswer",
        3: "question 0\nanswer",
        5: "question 0\nanswer\nquestion 1\nanswer\nquestion 2\nanswer",
    }
    assert row_texts(lake, "some", []) == {}


def test_missing_texts_are_left_out_of_joined_rows() -> None:
    rows = [record([({"user": None, "assistant": "a"}, 1), ({"user": "q", "assistant": ""}, 1)]), record(None)]
    batch = pa.RecordBatch.from_pylist(rows, schema_of(TURN_COLUMNS))
    assert joined_texts(batch).to_pylist() == ["a\nq", ""]
