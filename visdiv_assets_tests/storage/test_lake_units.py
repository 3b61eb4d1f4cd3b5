"""Units of a partition: reuse after a kill, and what makes one be written again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets_tests.storage.helpers import (
    NUMBERS,
    add,
    begin,
    files_below,
    numbers,
    read_numbers,
    run_python,
    write_numbers,
)


class TestUnits:
    def test_units_of_a_write_that_was_killed_are_found_again(self, lake: Lake, tmp_path: Path) -> None:
        before = write_numbers(lake, "some", {"unit": [0]}, code_version="0")
        killed = run_python(KILLED, lake.files.root)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert lake.manifest("table", "some") == before
        assert read_numbers(lake, "some") == [0]

        write = begin(lake)
        assert write.reuse("one")
        assert write.reuse("two", {"shard": "x"})
        assert not write.reuse("three")
        add(write, "three", 3, 3)
        manifest = write.commit()
        assert write.reused == 2
        assert [unit.name for unit in manifest.units] == ["one", "two", "three"]
        assert read_numbers(lake, "some") == [1, 2, 2, 3, 3]

    def test_a_finished_unit_is_reused_without_being_written_again(self, lake: Lake, tmp_path: Path) -> None:
        write_numbers(lake, "some", {"unit": [1, 2]})
        times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
        write = begin(lake)
        assert write.reuse("unit")
        manifest = write.commit()
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == times
        assert lake.read(manifest)["number"].to_pylist() == [1, 2]

    @pytest.mark.parametrize(
        "changed",
        [
            {"code_version": "2"},
            {"model_id": "other"},
            {"model_id": None},
            {"settings": {"limit": 2}},
            {"settings": {"limit": 1, "more": 0}},
            {"settings": {}},
        ],
        ids=str,
    )
    def test_a_unit_of_other_code_model_or_settings_is_not_reused(self, lake: Lake, changed: dict[str, Any]) -> None:
        plan = {"model_id": "model", "settings": {"limit": 1}}
        write = begin(lake, **plan)
        add(write, "unit", 1, inputs={"shard": "x"})
        write.commit()
        assert begin(lake, **plan).reuse("unit", {"shard": "x"})
        assert not begin(lake, **{**plan, **changed}).reuse("unit", {"shard": "x"})

    @pytest.mark.parametrize(
        ("name", "inputs"),
        [
            ("unit", {"shard": "y"}),
            ("unit", {"shards": "x"}),
            ("unit", {"shard": "x", "more": "z"}),
            ("unit", {}),
            ("unit", None),
            ("other", {"shard": "x"}),
        ],
    )
    def test_a_unit_of_other_inputs_is_not_reused(self, lake: Lake, name: str, inputs: dict[str, str] | None) -> None:
        write = begin(lake)
        add(write, "unit", 1, inputs={"shard": "x"})
        write.commit()
        assert not begin(lake).reuse(name, inputs)

    def test_irrelevant_changes_do_not_prevent_reuse_of_a_unit(self, lake: Lake) -> None:
        write = begin(lake, settings={"a": 1, "b": 2}, inputs={"x": "1"}, source_revision="1", run_id="one")
        add(write, "unit", 1, inputs={"p": "1", "q": "2"})
        again = begin(lake, settings={"b": 2, "a": 1}, inputs={"x": "2"}, source_revision="2", run_id="two")
        assert again.reuse("unit", {"q": "2", "p": "1"})

    def test_units_of_other_partitions_and_tables_are_not_reused(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        assert not lake.write("table", "other", code_version="1").reuse("unit")
        assert not lake.write("tables", "some", code_version="1").reuse("unit")

    @pytest.mark.parametrize("harm", ["cut off", "emptied", "removed", "grown"])
    @pytest.mark.parametrize("role", ["rows", "vectors"])
    def test_a_unit_with_a_damaged_file_is_made_again(self, lake: Lake, tmp_path: Path, harm: str, role: str) -> None:
        def write_unit(write: PartitionWrite) -> None:
            with write.add("unit") as unit:
                unit.table("rows", numbers(1, 2), NUMBERS)
                unit.array("vectors", np.ones((2, 3), np.float16))

        write = begin(lake)
        write_unit(write)
        write.commit()
        (path,) = tmp_path.rglob(f"*.{role}.*")
        content = path.read_bytes()
        if harm == "removed":
            path.unlink()
        else:
            path.write_bytes({"cut off": content[:-1], "emptied": b"", "grown": content + b"x"}[harm])
        again = begin(lake)
        assert not again.reuse("unit")
        assert again.reused == 0
        write_unit(again)
        manifest = again.commit()
        assert path.read_bytes() == content
        assert lake.read(manifest)["number"].to_pylist() == [1, 2]

    @pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]", b"{}", b'{"files": {"rows": {}}}', b"\xff"])
    def test_a_unit_with_a_damaged_record_is_made_again(self, lake: Lake, tmp_path: Path, damage: bytes) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        (record,) = tmp_path.rglob("*.unit.json")
        record.write_bytes(damage)
        assert not begin(lake).reuse("unit")

    def test_a_unit_that_failed_does_not_count(self, lake: Lake, tmp_path: Path) -> None:
        write_numbers(lake, "some", {"unit": [1]}, code_version="0")
        before = files_below(tmp_path)
        write = begin(lake)

        def rows() -> Iterator[pa.RecordBatch]:
            yield numbers(1).to_batches()[0]
            raise ValueError("no more rows")

        def fail_within_the_file() -> None:
            with write.add("unit") as unit:
                unit.table("rows", rows(), NUMBERS)

        def fail_after_the_file() -> None:
            with write.add("unit") as unit:
                unit.table("rows", numbers(1), NUMBERS)
                raise ValueError("no more files")

        with pytest.raises(ValueError, match="no more rows"):
            fail_within_the_file()
        assert files_below(tmp_path) == before
        with pytest.raises(ValueError, match="no more files"):
            fail_after_the_file()
        assert not begin(lake).reuse("unit")
        assert write.draft().units == ()
        assert read_numbers(lake, "some") == [1]

    def test_a_write_beyond_the_space_leaves_the_old_state(self, lake: Lake, tmp_path: Path) -> None:
        write_numbers(lake, "some", {"unit": [0]}, code_version="0")
        before = files_below(tmp_path)
        done = run_python(FULL_DISK, lake.files.root)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 2
        for line, role in zip(lines, ("rows.parquet", "vectors.npy"), strict=True):
            assert line.startswith(f"cannot write {lake.files.root}/table/some/")
            assert f".{role}: File too large; its previous content is intact" in line
        assert files_below(tmp_path) == before


KILLED = """
import os, signal, sys
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import NUMBERS, numbers

write = Lake(sys.argv[1]).write("table", "some", code_version="1")
with write.add("one") as unit:
    unit.table("rows", numbers(1), NUMBERS)
with write.add("two", {"shard": "x"}) as unit:
    unit.table("rows", numbers(2, 2), NUMBERS)

def rows():
    yield numbers(3).to_batches()[0]
    os.kill(os.getpid(), signal.SIGKILL)

with write.add("three") as unit:
    unit.table("rows", rows(), NUMBERS)
"""

FULL_DISK = """
import resource, sys
import numpy as np
import pyarrow as pa
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.lake import Lake

rng = np.random.default_rng(0)
table = pa.table({"number": rng.integers(0, 1 << 60, 100_000)})
write = Lake(sys.argv[1]).write("table", "some", code_version="1")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for fill in (
    lambda unit: unit.table("rows", table, table.schema),
    lambda unit: unit.array("vectors", rng.random((1000, 512))),
):
    try:
        with write.add("unit") as unit:
            fill(unit)
    except VisdivError as error:
        print(error)
"""
