"""Partitions of a lake: what readers see before and after a commit, names, and damaged files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from visdiv_assets.errors import NotMaterializedError, VisdivError
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import (
    NUMBERS,
    ODD_NAMES,
    REPOSITORY,
    add,
    begin,
    damage,
    files_below,
    numbers,
    read_numbers,
    write_numbers,
)


class TestStates:
    def test_a_lake_that_does_not_exist_yet_is_empty(self, lake: Lake, tmp_path: Path) -> None:
        assert lake.tables() == []
        assert lake.partitions("table") == []
        assert lake.manifest("table", "some") is None
        assert list(tmp_path.iterdir()) == []

    def test_rows_are_read_back_in_the_order_of_the_units(self, lake: Lake) -> None:
        manifest = write_numbers(lake, "some", {"b": [3, 1], "a": [2], "empty": [], "c": [0, 9]})
        assert lake.manifest("table", "some") == manifest
        assert read_numbers(lake, "some") == [3, 1, 2, 0, 9]
        assert [file.rows for file in manifest.files("rows")] == [2, 1, 0, 2]
        assert manifest.rows("rows") == 5

    def test_many_units_stay_in_order_when_streamed(self, lake: Lake) -> None:
        rng = np.random.default_rng(0)
        parts = {f"unit {number}": rng.integers(0, 9, rng.integers(0, 3000)).tolist() for number in range(60)}
        manifest = write_numbers(lake, "some", parts)
        expected = [value for part in parts.values() for value in part]
        assert lake.dataset(manifest).scanner().to_reader().read_all()["number"].to_pylist() == expected
        assert lake.read(manifest)["number"].to_pylist() == expected

    def test_columns_and_rows_can_be_chosen(self, lake: Lake) -> None:
        write = begin(lake)
        table = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [0.5, 1.5, 2.5]})
        with write.add("unit") as unit:
            assert unit.table("rows", table, table.schema) == 3
        manifest = write.commit()
        chosen = lake.read(manifest, columns=["c", "a"], where=pc.field("b") != "y")
        assert chosen.to_pydict() == {"c": [0.5, 2.5], "a": [1, 3]}

    def test_roles_do_not_mix(self, lake: Lake) -> None:
        write = begin(lake)
        for name in ("one", "two"):
            with write.add(name) as unit:
                unit.table("rows", numbers(1, 2), NUMBERS)
                unit.table("counts", numbers(7), NUMBERS)
                unit.file("note", "txt", lambda stream: stream.write(b"text"))
        manifest = write.commit()
        assert lake.read(manifest, "counts")["number"].to_pylist() == [7, 7]
        assert (manifest.rows("rows"), manifest.rows("counts"), manifest.rows("nothing")) == (4, 2, 0)

    def test_a_role_that_was_not_written_is_one_line(self, lake: Lake) -> None:
        manifest = write_numbers(lake, "some", {"unit": [1]})
        with pytest.raises(VisdivError, match="table of 'some' has no pairs"):
            lake.read(manifest, "pairs")
        with pytest.raises(VisdivError, match="table of 'empty' has no rows"):
            lake.read(write_numbers(lake, "empty", {}))

    def test_a_partition_that_was_not_written_is_not_materialized(self, lake: Lake) -> None:
        with pytest.raises(NotMaterializedError, match=r"^table of 'some' is not materialized$"):
            lake.require("table", "some")

    def test_readers_see_the_old_state_until_the_commit(self, lake: Lake) -> None:
        before = write_numbers(lake, "some", {"unit": [1]})
        write = begin(lake, settings={"changed": True})
        add(write, "unit", 2)
        assert lake.manifest("table", "some") == before
        assert read_numbers(lake, "some") == [1]
        assert lake.read(write.draft())["number"].to_pylist() == [2]
        write.commit()
        assert read_numbers(lake, "some") == [2]

    def test_a_reader_that_holds_the_old_manifest_can_finish(self, lake: Lake) -> None:
        before = write_numbers(lake, "some", {"unit": [1]})
        write_numbers(lake, "some", {"unit": [2]}, settings={"changed": True})
        assert lake.read(before)["number"].to_pylist() == [1]

    def test_a_first_write_is_invisible_until_the_commit(self, lake: Lake) -> None:
        write = begin(lake)
        add(write, "unit", 1)
        assert lake.manifest("table", "some") is None
        assert lake.partitions("table") == []
        write.commit()
        assert lake.partitions("table") == ["some"]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_partitions_may_have_odd_names(self, lake: Lake, tmp_path: Path, name: str) -> None:
        manifest = write_numbers(lake, name, {"u/n:i t": [1, 2]})
        write_numbers(lake, "other", {"unit": [3]})
        assert manifest.partition == name
        assert lake.partitions("table") == sorted([name, "other"])
        assert lake.manifest("table", name) == manifest
        assert read_numbers(lake, name) == [1, 2]
        assert all(path.startswith("lake/table/") and path.count("/") == 3 for path in files_below(tmp_path))

    def test_tables_and_partitions_are_listed_by_name(self, lake: Lake) -> None:
        for table, partition in (("b", "y"), ("a", "x"), ("b", "+"), ("b", "z")):
            write_numbers(lake, partition, {"unit": [1]}, table=table)
        assert lake.tables() == ["a", "b"]
        assert lake.partitions("b") == ["+", "y", "z"]
        assert lake.partitions("c") == []

    def test_a_raw_file_is_opened_as_it_was_written(self, lake: Lake) -> None:
        write = begin(lake)

        def fill(stream: Any) -> int:
            stream.write(b"some ")
            stream.write(np.arange(3, dtype=np.int16).tobytes())
            return 2

        with write.add("unit") as unit:
            unit.file("raw", "bin", fill)
        manifest = write.commit()
        with lake.open_file(manifest, "raw") as stream:
            assert stream.read() == b"some " + np.arange(3, dtype=np.int16).tobytes()
        (file,) = manifest.files("raw")
        assert (file.rows, file.size_bytes) == (2, 11)

    @pytest.mark.parametrize("harm", ["cut off", "removed"])
    @pytest.mark.parametrize("role", ["rows", "vectors", "raw"])
    def test_a_damaged_data_file_is_one_line_that_names_it(
        self, lake: Lake, tmp_path: Path, role: str, harm: str
    ) -> None:
        write = begin(lake)
        with write.add("unit") as unit:
            unit.table("rows", numbers(1, 2), NUMBERS)
            unit.array("vectors", np.ones((2, 3), np.float16))
            unit.file("raw", "bin", lambda stream: stream.write(b"12"))
        manifest = write.commit()
        (path,) = tmp_path.rglob(f"*.{role}.*")
        damage(path, harm)
        with pytest.raises(VisdivError, match="materialize table of 'some' again") as caught:
            {"rows": lake.read, "vectors": lake.array, "raw": lake.open_file}[role](manifest, role)
        assert str(path) in str(caught.value)


def test_two_writers_of_a_partition_leave_one_complete_state(lake: Lake, tmp_path: Path) -> None:
    code = """
import sys
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import write_numbers
for turn in range(20):
    write_numbers(Lake(sys.argv[1]), "some", {"a": [turn] * 50, "b": [turn] * 50}, settings={"turn": turn})
"""
    writers = [subprocess.Popen([sys.executable, "-c", code, lake.files.root], cwd=REPOSITORY) for _ in range(2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        manifest = lake.manifest("table", "some")
        if manifest is not None:
            values = lake.read(manifest)["number"].to_pylist()
            assert len(values) == 100
            assert len(set(values)) == 1
            seen.add(values[0])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen
    assert read_numbers(lake, "some") == [19] * 100
    assert not list((tmp_path / "lake" / "table" / escape("some")).glob(".*"))
