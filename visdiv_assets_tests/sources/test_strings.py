"""The column `strings`: all texts of a row, in whatever columns they are."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import ImageFolderSource, Kind, ParquetFolderSource, SavedDatasetsSource, Source
from visdiv_assets.sources.image_columns import IMAGES
from visdiv_assets.sources.in_memory import DatasetSource
from visdiv_assets.sources.strings import columns_with_strings, strings
from visdiv_assets_tests.sources.saved import make_dataset, save

NESTED = pa.list_(pa.struct([("role", pa.string()), ("options", pa.list_(pa.string()))]))
PAIRS = pa.map_(pa.string(), pa.string())
ENCODED = base64.b64encode(bytes(range(256)) * 8).decode()

TEXT = st.none() | st.text(max_size=3)
ENTRY = st.none() | st.fixed_dictionaries({"role": TEXT, "options": st.none() | st.lists(TEXT, max_size=3)})
ROW = st.fixed_dictionaries(
    {
        "question": TEXT,
        "chat": st.none() | st.lists(ENTRY, max_size=3),
        "pairs": st.none() | st.lists(st.tuples(st.text(max_size=2), TEXT), max_size=2),
    }
)
TYPES = {"question": pa.large_string(), "chat": NESTED, "pairs": PAIRS}


def plain_strings(value: Any) -> list[str]:
    """The strings in a value of Python, in the order of columns of structs: all of a field, then all of the next."""
    if isinstance(value, str):
        return [value]
    entries = value or []
    if any(isinstance(entry, tuple) for entry in entries):
        entries = [{"key": key, "item": item} for key, item in entries]
    if any(isinstance(entry, dict) for entry in entries):
        entries = [[(entry or {}).get(name) for entry in entries] for name in ("role", "options", "key", "item")]
    return [text for entry in entries for text in plain_strings(entry)]


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=6), start=st.integers(0, 3))
def test_rows_have_the_strings_of_all_their_columns(rows: list[dict[str, Any]], start: int) -> None:
    columns = [pa.array([row[name] for row in rows], kind).slice(start) for name, kind in TYPES.items()]
    found = strings(columns, len(columns[0]))
    found.validate(full=True)
    assert found.to_pylist() == [[text for name in TYPES for text in plain_strings(row[name])] for row in rows[start:]]


def test_images_in_base64_are_left_out() -> None:
    texts = ["x", ENCODED, "猫" * 1100, ENCODED + " a", None]
    assert strings([pa.array(texts)], 5).to_pylist() == [["x"], [], ["猫" * 1100], [ENCODED + " a"], []]


def test_columns_with_bytes_and_without_strings_are_not_read() -> None:
    schema = pa.schema(
        {
            "number": pa.int64(),
            "kind": pa.dictionary(pa.int8(), pa.string()),
            "images": IMAGES,
            "fixed": pa.list_(pa.string(), 2),
            "view": pa.string_view(),
            "pairs": PAIRS,
            "bytes": pa.binary(8),
            "chat": NESTED,
        }
    )
    assert columns_with_strings(schema) == ("kind", "fixed", "view", "pairs", "chat")


def test_strings_of_other_types_are_read() -> None:
    kind, view = pa.array(["x", None]).dictionary_encode(), pa.array(["v", "w"], pa.string_view())
    fixed = pa.array([None, ["a", "b"]], pa.list_(pa.string(), 2))
    assert strings([kind, fixed, view], 2).to_pylist() == [["x", "v"], ["a", "b", "w"]]


def read(source: Source, kind: Kind, name: str) -> list[list[str]]:
    return [
        row
        for shard in source.shards(kind, name)
        for batch in source.batches(kind, name, shard, columns=["strings"], batch_rows=2)
        for row in batch["strings"].to_pylist()
    ]


def write(folder: Path, table: pa.Table) -> ParquetFolderSource:
    path = folder / "benchmarks" / "some" / "test.parquet"
    path.parent.mkdir(parents=True)
    (folder / "subsets").mkdir()
    pq.write_table(table, path)
    return ParquetFolderSource(folder)


def test_all_sources_have_strings(tmp_path: Path) -> None:
    images = [{"bytes": b"x", "path": "x.png"}] * 3
    options = [["yes", "no"], [], ["no"]]
    source = write(tmp_path / "parquet", pa.table({"image": images, "question": ["a", None, "c"], "options": options}))
    assert read(source, Kind.BENCHMARK, "some") == [["a", "yes", "no"], [], ["c", "no"]]
    saved = SavedDatasetsSource(save(make_dataset([1, None]), tmp_path / "saved"))
    assert read(saved, Kind.SUBSET, "saved") == [["a square of 1"], ["a square of None"]]
    assert read(DatasetSource(make_dataset([1])), Kind.SUBSET, "train") == [["a square of 1"]]
    (tmp_path / "folder" / "s").mkdir(parents=True)
    (tmp_path / "folder" / "s" / "a.png").write_bytes(b"x")
    assert read(ImageFolderSource(tmp_path / "folder"), Kind.SUBSET, "s") == [[]]


def test_a_file_without_texts_has_rows_of_no_strings(tmp_path: Path) -> None:
    source = write(tmp_path, pa.table({"image": [b"x", b"y", b"z"], "number": [1, 2, 3]}))
    assert read(source, Kind.BENCHMARK, "some") == [[], [], []]


def test_a_column_of_strings_that_occurs_twice_is_named(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array([b"x"]), pa.array(["a"]), pa.array(["b"])], ["image", "answer", "answer"])
    source = write(tmp_path, twice)
    with pytest.raises(SourceError, match="has the column 'answer' more than once: keep one"):
        read(source, Kind.BENCHMARK, "some")
