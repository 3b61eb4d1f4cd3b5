"""The export of all rows with columns that say which of them a clean copy keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.export import DROPPED_SCHEMA, SubsetDecision, export
from visdiv_assets.curation.row_tags import TAG_FIELDS, witness_names
from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Source
from visdiv_assets_tests.curation.exports import decide, load, rows, write

NAMES = [field.name for field in TAG_FIELDS]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two shards of 30 and 25 rows."""
    write(tmp_path / "source", "a", rows(30), "train-00000-of-00002.parquet", row_group_size=7)
    write(tmp_path / "source", "a", rows(25, 30), "train-00001-of-00002.parquet")
    return sources.open(tmp_path / "source")


def with_witness(decision: SubsetDecision) -> SubsetDecision:
    """Return a decision with a second finding on each dropped row, and witnesses of the first ones."""
    first = [
        record | {"witness": "b", "witness_row": 2 * record["row"], "witness_image": 1, "confidence": 0.5}
        for record in decision.dropped.to_pylist()
    ]
    second = [record | {"reason": "duplicate", "detail": "second"} for record in decision.dropped.to_pylist()]
    both = sorted([*first, *second], key=lambda record: int(record["row"]))
    table = pa.Table.from_pylist(both, schema=DROPPED_SCHEMA)
    return SubsetDecision(decision.subset, decision.version, decision.kept, table)


def test_a_witness_may_lack_a_row_or_an_image() -> None:
    records = [("b", 3, 0), ("b", 3, None), ("bench", None, None), (None, None, None)]
    names = ("witness", "witness_row", "witness_image")
    table = pa.Table.from_pylist([dict(zip(names, record, strict=True)) for record in records], schema=DROPPED_SCHEMA)
    assert witness_names(table).to_pylist() == ["b, row 3, image 0", "b, row 3", "bench", None]


def test_all_rows_are_written_with_the_first_finding(source: Source, tmp_path: Path) -> None:
    decision = with_witness(decide(source, "a"))
    result = export(source, [decision], tmp_path / "out", tagged=True)
    given = pa.concat_tables([pq.read_table(file) for file in sorted((tmp_path / "out" / "a").glob("*.parquet"))])
    assert given["source"].to_pylist() == [f"row {row}" for row in range(55)]
    assert given["visdiv_kept"].to_pylist() == decision.kept.tolist()
    for row, kept in enumerate(decision.kept.tolist()):
        found = [given[name][row].as_py() for name in NAMES[1:4]]
        assert found == ([None] * 3 if kept else ["quality", f"row {row}", f"b, row {2 * row}, image 1"])
    assert result.rows_kept + result.rows_dropped == 55


def test_only_the_columns_are_added(source: Source, tmp_path: Path) -> None:
    export(source, [decide(source, "a")], tmp_path / "out", tagged=True)
    for file in sorted((tmp_path / "out" / "a").glob("*.parquet")):
        given, stored = pq.read_table(file), pq.read_table(tmp_path / "source" / "subsets" / "a" / file.name)
        assert given.column_names == [*stored.column_names, *NAMES]
        assert given.select(stored.column_names).to_pylist() == stored.to_pylist()


def test_an_export_without_dropped_rows_has_no_findings(source: Source, tmp_path: Path) -> None:
    export(source, [decide(source, "a", [True] * 55)], tmp_path / "out", tagged=True)
    given = pq.read_table(tmp_path / "out" / "a" / "train-00000-of-00002.parquet")
    assert given["visdiv_kept"].to_pylist() == [True] * 30
    assert given["visdiv_reason"].null_count == 30


def test_a_column_of_the_source_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path / "source", "a", rows(3).append_column("visdiv_kept", pa.array([1, 2, 3])))
    source = sources.open(tmp_path / "source")
    with pytest.raises(VisdivError, match="the source has a column visdiv_kept already"):
        export(source, [decide(source, "a")], tmp_path / "out", tagged=True)


def test_datasets_reads_the_columns(sample_folder: Path, tmp_path: Path) -> None:
    source = sources.open(sample_folder)
    name = source.subsets()[0]
    decision = decide(source, name)
    export(source, [decision], tmp_path / "out", tagged=True)
    (found,) = load(tmp_path, ({"path": str(tmp_path / "out"), "name": name}, [0, 1, 2]))
    assert found["rows"] == decision.version.rows
    assert set(NAMES) <= set(found["columns"])
    assert [example["visdiv_kept"] for example in found["examples"]] == decision.kept[:3].tolist()
    assert json.dumps(found["examples"]).count('"image"') >= 3
