"""Failing turns are left out of rows as FineVision's own loader leaves them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets import sources
from visdiv_assets.curation.export import export, preview
from visdiv_assets.curation.quality import PROFILES, UNRATED, failing_turns
from visdiv_assets.curation.turn_filter import FailingTurns, without_turns
from visdiv_assets.errors import VisdivError
from visdiv_assets.sources.interface import StoredShard
from visdiv_assets.sources.schema import CRITERIA
from visdiv_assets_tests.curation.exports import decide, snapshot, write

Record = dict[str, Any]

THRESHOLDS = PROFILES["blog"]
STORED = pa.schema(
    [
        ("texts", pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string())]))),
        *(
            field
            for criterion in CRITERIA
            for field in ((f"{criterion}_ratings", pa.list_(pa.int64())), (f"{criterion}_min", pa.int64()))
        ),
        ("note", pa.list_(pa.string())),
    ]
)
RATING = st.none() | st.integers(1, 5)


@st.composite
def records(draw: st.DrawFn) -> Record:
    turns = draw(st.integers(0, 4))
    found: Record = {
        "texts": [{"user": f"q{turn}", "assistant": f"a{turn}"} for turn in range(turns)],
        "note": ["kept", "as it is"],
    }
    if not turns and draw(st.booleans()):
        found["texts"] = None
    for criterion in CRITERIA:
        ratings = draw(st.none() | st.lists(RATING, min_size=turns, max_size=turns) | st.lists(RATING, max_size=turns))
        found[f"{criterion}_ratings"] = ratings
        found[f"{criterion}_min"] = min((rating for rating in ratings or [] if rating is not None), default=None)
    return found


def as_the_loader_does(record: Record) -> Record:
    """Filter one row as `BaseDataset._get_messages` of nanoVLM does, and its ratings with it."""
    kept = []
    for turn in range(len(record["texts"] or [])):
        passes = True
        for criterion in CRITERIA:
            ratings = record[f"{criterion}_ratings"]
            if ratings is not None and turn < len(ratings) and ratings[turn] is not None:
                passes = passes and ratings[turn] >= THRESHOLDS[criterion]
        if passes:
            kept.append(turn)
    if len(kept) == len(record["texts"] or []):
        return record
    found = dict(record, texts=[record["texts"][turn] for turn in kept])
    for criterion in CRITERIA:
        ratings = record[f"{criterion}_ratings"]
        if ratings is not None:
            left = [ratings[turn] for turn in kept if turn < len(ratings)]
            found[f"{criterion}_ratings"] = left
            found[f"{criterion}_min"] = min((rating for rating in left if rating is not None), default=None)
    return found


def failing(rows: Sequence[Record], texts: tuple[str, ...] = ("texts",)) -> FailingTurns:
    """Apply the thresholds of the blog to stored rows."""
    counts = np.array([len(row["texts"] or []) for row in rows], np.int64)
    padded = [
        {"turns": int(count), **{f"{name}_ratings": row[f"{name}_ratings"] for name in CRITERIA}}
        for row, count in zip(rows, counts, strict=True)
    ]
    read = pa.schema([("turns", pa.int32()), *(STORED.field(f"{name}_ratings") for name in CRITERIA)])
    return FailingTurns("a", texts, counts, failing_turns(pa.RecordBatch.from_pylist(padded, read), THRESHOLDS))


def shard_of(table: pa.Table, batch_rows: int) -> StoredShard:
    return StoredShard(table.schema, "zstd", iter(table.to_batches(batch_rows)))


@settings(max_examples=150, deadline=None)
@given(st.lists(records(), min_size=1, max_size=12), st.integers(1, 5))
def test_rows_equal_those_that_the_loader_makes(rows: list[Record], batch_rows: int) -> None:
    written = without_turns(shard_of(pa.Table.from_pylist(rows, STORED), batch_rows), failing(rows))
    assert written.schema == STORED
    assert [row for batch in written.batches for row in batch.to_pylist()] == [as_the_loader_does(row) for row in rows]


RATED: list[Record] = [
    {
        "texts": [{"user": f"q{turn}", "assistant": f"a{turn}"} for turn in range(3)],
        "relevance_ratings": [5, 1, None],
        "relevance_min": 1,
        "note": None,
    },
    {"texts": [{"user": "only", "assistant": "turn"}], "relevance_ratings": [5], "relevance_min": 5, "note": None},
]


def rated(kind: pa.DataType | None = None, **columns: pa.Array) -> pa.Table:
    """The rows of `RATED`, with texts of another type or other columns."""
    full = [{**dict.fromkeys(STORED.names), **row} for row in RATED]
    table = pa.Table.from_pylist(full, STORED)
    if kind is not None:
        columns["texts"] = table["texts"].cast(kind)
    for name, column in columns.items():
        table = table.set_column(table.schema.names.index(name), name, column)
    return table


FAILING = FailingTurns("a", ("texts",), np.array([3, 1]), np.array([False, True, False, False]))


def test_other_types_of_lists_keep_their_type() -> None:
    kind = pa.large_list(STORED.field("texts").type.value_type)
    (batch,) = without_turns(shard_of(rated(kind), 10), FAILING).batches
    assert batch.schema.field("texts").type == kind
    assert [[turn["user"] for turn in turns] for turns in batch["texts"].to_pylist()] == [["q0", "q2"], ["only"]]
    assert batch["relevance_ratings"].to_pylist() == [[5, None], [5]]
    assert batch["relevance_min"].to_pylist() == [5, 5]


@pytest.mark.parametrize("texts", [("texts",), ("question", "answer"), ()])
def test_texts_that_are_no_list_of_turns_are_refused(texts: tuple[str, ...]) -> None:
    table = rated(texts=pa.array(["no list", "of turns"]))
    with pytest.raises(VisdivError, match=r"subset 'a' .* export it without --drop-turns"):
        without_turns(shard_of(table, 10), FailingTurns("a", texts, FAILING.counts, FAILING.failing))


def test_a_list_with_another_number_of_entries_is_refused() -> None:
    turns = FailingTurns("a", ("texts",), np.array([2, 1]), np.array([False, True, False]))
    with pytest.raises(VisdivError, match="one entry for each turn"):
        list(without_turns(shard_of(rated(), 10), turns).batches)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = pa.array(
        [[{"bytes": b"1", "path": None}], []], pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    )
    for file in ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet"):
        write(tmp_path / "source", "a", rated().append_column("images", images), file)
    return tmp_path / "source"


def test_an_export_leaves_out_turns_of_kept_rows_and_counts(root: Path, tmp_path: Path) -> None:
    source = sources.open(root)
    turns = FailingTurns("a", ("texts",), np.array([3, 1, 3, 1]), np.array([False] * 5 + [True] + [False] * 2))
    decision = decide(source, "a", [True, False, True, True])
    without = type(decision)(decision.subset, decision.version, decision.kept, decision.dropped, turns)
    assert preview([without]).to_pylist() == [
        {"subset": "a", "rows": 4, "rows_kept": 3, "quality": 1, "turns_left_out": 1}
    ]
    result = export(source, [without], tmp_path / "clean")
    assert (result.rows_kept, result.turns_left_out) == (3, 1)
    files = sorted((tmp_path / "clean" / "a").iterdir())
    assert pq.read_table(files[0])["relevance_ratings"].to_pylist() == [[5, 1, None]]
    assert pq.read_table(files[1])["relevance_ratings"].to_pylist() == [[5, None], [5]]
    card = (tmp_path / "clean" / "README.md").read_text()
    assert "3 of 4 rows in 1 subset, in their order.\n1 turn of these rows" in card


def test_an_export_resumed_with_other_turns_writes_files_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sources.open(root)
    decision = decide(source, "a", [True] * 4)
    without = type(decision)(
        decision.subset,
        decision.version,
        decision.kept,
        decision.dropped,
        FailingTurns("a", ("texts",), np.array([3, 1, 3, 1]), np.array([False, True, False, False] * 2)),
    )
    export(source, [without], tmp_path / "undisturbed")

    def stop(*arguments: object, **named: object) -> dict[str, str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("visdiv_assets.curation.export.describe", stop)
        with pytest.raises(KeyboardInterrupt):
            export(source, [decision], tmp_path / "clean")
    export(source, [without], tmp_path / "clean")
    assert snapshot(tmp_path / "clean") == snapshot(tmp_path / "undisturbed")


def test_a_missing_rating_and_one_out_of_range_pass() -> None:
    rows: list[Record] = [{**dict.fromkeys(STORED.names), "texts": [{}, {}], "relevance_ratings": [None, UNRATED]}]
    assert not failing(rows).failing.any()
