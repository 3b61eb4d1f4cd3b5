"""Partitions: atomic commits, reuse of units after a kill, digests, and damaged files."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import NotMaterializedError, VisdivError
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import (
    DataFile,
    Manifest,
    Unit,
    digest_of,
    manifest_from_json,
    unit_from_json,
    unit_to_json,
)
from visdiv_assets_tests.storage.helpers import (
    NUMBERS,
    ODD_NAMES,
    REPOSITORY,
    files_below,
    numbers,
    read_numbers,
    run_python,
    write_numbers,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def begin(lake: Lake, **plan: Any) -> PartitionWrite:
    return lake.write("table", "some", **{"code_version": "1", **plan})


def add(write: PartitionWrite, name: str, *values: int, inputs: dict[str, str] | None = None) -> None:
    with write.add(name, inputs) as unit:
        unit.table("rows", numbers(*values), NUMBERS)


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
        content = path.read_bytes()
        path.unlink()
        if harm == "cut off":
            path.write_bytes(content[:-1])
        with pytest.raises(VisdivError, match="materialize table of 'some' again") as caught:
            {"rows": lake.read, "vectors": lake.array, "raw": lake.open_file}[role](manifest, role)
        assert str(path) in str(caught.value)


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


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.dictionaries(st.text(), st.text(), max_size=3)
FILES = st.builds(DataFile, st.text(), st.integers(0), st.integers(0), st.text())
UNITS = st.builds(Unit, st.text(), st.text(), st.dictionaries(st.text(), FILES, max_size=3))
MANIFESTS = st.builds(
    Manifest,
    table=st.text(),
    partition=st.text(),
    units=st.lists(UNITS, max_size=3).map(tuple),
    inputs=TEXTS,
    model_id=st.none() | st.text(),
    settings=st.dictionaries(st.text(), PLAIN, max_size=3),
    code_version=st.text(),
    source_revision=st.none() | st.text(),
    facts=st.dictionaries(st.text(), PLAIN, max_size=3),
    run_id=st.text(),
    materialized_at=st.text(),
    product_version=st.text(),
)


class TestManifests:
    @settings(deadline=None, max_examples=60)
    @given(MANIFESTS)
    def test_a_manifest_reads_back_as_it_was(self, manifest: Manifest) -> None:
        assert manifest_from_json(manifest.to_json()) == manifest

    @settings(deadline=None, max_examples=60)
    @given(UNITS)
    def test_a_units_record_reads_back_as_it_was(self, unit: Unit) -> None:
        assert unit_from_json(unit_to_json(unit)) == unit

    def test_a_committed_manifest_holds_its_provenance(self, lake: Lake) -> None:
        write = lake.write(
            "table",
            "some",
            code_version="3",
            inputs={"images": "abc"},
            model_id="model",
            settings={"limit": 0.5, "names": ["x"]},
            source_revision="r1",
            run_id="run",
        )
        write.commit(rows=7, digests={"a": "b"})
        stored = lake.require("table", "some")
        assert (stored.code_version, stored.model_id, stored.source_revision, stored.run_id) == (
            ("3", "model", "r1", "run")
        )
        assert stored.inputs == {"images": "abc"}
        assert stored.settings == {"limit": 0.5, "names": ["x"]}
        assert stored.facts == {"rows": 7, "digests": {"a": "b"}}
        assert stored.materialized_at.endswith("+00:00")

    def test_a_manifest_cut_off_anywhere_is_one_line_that_names_it(self, lake: Lake) -> None:
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        write_numbers(lake, "some", {"unit": [1]})
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(VisdivError, match="is not a manifest of this program") as caught:
                lake.manifest("table", "some")
            assert str(path) in str(caught.value)

    @pytest.mark.parametrize(
        "damage",
        [
            b"null",
            b"[]",
            b"{}",
            b"7",
            b"\xff\xfe",
            b"\0" * 500,
            b'{"units": 5}',
            b'{"units": [5]}',
            b'{"units": [{}]}',
            b'{"units": []}',
            b'{"units": null}',
        ],
    )
    def test_a_damaged_manifest_is_one_line_that_names_it(self, lake: Lake, damage: bytes) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        path.write_bytes(damage)
        with pytest.raises(VisdivError, match="is not a manifest of this program") as caught:
            lake.require("table", "some")
        assert str(path) in str(caught.value)
        assert lake.partitions("table") == ["some"]

    @pytest.mark.parametrize("field", ["table", "inputs", "settings", "code_version"])
    def test_a_manifest_without_a_required_field_is_one_line(self, lake: Lake, field: str) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        path = Path(lake.files.root) / "table" / "some" / "manifest.json"
        value = json.loads(path.read_bytes())
        del value[field]
        path.write_text(json.dumps(value))
        with pytest.raises(VisdivError, match=field):
            lake.manifest("table", "some")

    def test_a_damaged_manifest_is_replaced_by_the_next_commit(self, lake: Lake) -> None:
        write_numbers(lake, "some", {"unit": [1]})
        (Path(lake.files.root) / "table" / "some" / "manifest.json").write_bytes(b"{")
        write = begin(lake)
        assert write.reuse("unit")
        write.commit()
        assert read_numbers(lake, "some") == [1]


class TestDigests:
    def test_equal_content_has_equal_digests(self, lake: Lake, tmp_path: Path) -> None:
        one = write_numbers(lake, "some", {"a": [1], "b": [2]}, run_id="1", source_revision="1")
        other = write_numbers(
            Lake(tmp_path / "other"), "other", {"c": [1], "d": [2]}, run_id="2", source_revision="2", code_version="2"
        )
        assert one.digest == other.digest

    @pytest.mark.parametrize(
        ("units", "plan"),
        [
            ({"a": [1], "b": [3]}, {}),
            ({"a": [2], "b": [1]}, {}),
            ({"a": [1]}, {}),
            ({}, {}),
            ({"a": [1], "b": [2], "c": []}, {}),
            ({"a": [1], "b": [2]}, {"model_id": "other"}),
            ({"a": [1], "b": [2]}, {"table": "other"}),
        ],
        ids=str,
    )
    def test_changed_content_has_another_digest(
        self, lake: Lake, units: dict[str, list[int]], plan: dict[str, str]
    ) -> None:
        one = write_numbers(lake, "some", {"a": [1], "b": [2]})
        assert write_numbers(lake, "other", units, **plan).digest != one.digest  # type: ignore[arg-type]

    def test_a_vector_that_changed_in_one_bit_has_another_digest(self, lake: Lake) -> None:
        digests = set()
        for bit in (0, 1):
            vectors = np.zeros((3, 4), np.float16)
            vectors.view(np.uint16)[2, 3] = bit
            write = lake.write("table", str(bit), code_version="1")
            with write.add("unit") as unit:
                unit.array("vectors", vectors)
            digests.add(write.commit().digest)
        assert len(digests) == 2

    def test_two_independent_writes_give_byte_equal_files(self, tmp_path: Path) -> None:
        code = """
import sys
import numpy as np, pyarrow as pa
from visdiv_assets.storage.lake import Lake
rng = np.random.default_rng(0)
write = Lake(sys.argv[1]).write("table", "some", code_version="1")
table = pa.table({"a": rng.integers(0, 99, 5000), "b": [str(i % 37) if i % 5 else None for i in range(5000)]})
with write.add("unit") as unit:
    unit.table("rows", table, table.schema)
    unit.array("vectors", rng.random((50, 8)).astype(np.float16))
write.commit()
"""
        for name in ("one", "other"):
            done = run_python(code, tmp_path / name)
            assert done.returncode == 0, done.stderr
        one, other = files_below(tmp_path / "one"), files_below(tmp_path / "other")
        assert one.keys() == other.keys()
        assert len(one) == 4
        for path in one:
            if not path.endswith("manifest.json"):
                assert one[path] == other[path], path

    def test_a_digest_depends_on_values_not_on_the_order_of_keys(self) -> None:
        assert digest_of({"a": 1, "b": [1, None]}) == digest_of({"b": [1, None], "a": 1})
        values = [{"a": 1}, {"a": "1"}, {"a": None}, {"a": [1]}, {}, [], "", None, 0, False, ["ab"], ["a", "b"], "é"]
        assert len({digest_of(value) for value in values}) == len(values)
        assert digest_of({"b": "é", "a": 1}) == hashlib.sha256(b'{"a":1,"b":"\\u00e9"}').hexdigest()[:32]

    def test_recorded_hashes_are_those_of_the_files(self, lake: Lake) -> None:
        manifest = write_numbers(lake, "some", {"a": range(1000), "b": []})
        for file in manifest.files("rows"):
            content = (Path(lake.files.root) / "table" / "some" / file.name).read_bytes()
            assert (file.size_bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


class TestStreaming:
    def test_rows_are_written_as_they_come(self, lake: Lake) -> None:
        rng = np.random.default_rng(0)
        size = 1_000_000
        schema = pa.schema([("bytes", pa.binary(size))])
        held: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for _ in range(60):
                held.append(pa.total_allocated_bytes() - before)
                yield pa.record_batch([pa.array([rng.bytes(size)], schema[0].type)], schema=schema)

        write = begin(lake)
        before = pa.total_allocated_bytes()
        with write.add("unit") as unit:
            assert unit.table("rows", batches(), schema) == 60
        assert max(held) < 12 * size
        (file,) = write.commit().files("rows")
        assert (file.rows, file.size_bytes > 60 * size) == (60, True)

    def test_batches_are_brought_to_the_schema(self, lake: Lake) -> None:
        batch = pa.record_batch({"number": pa.array([1, 2], pa.int32())})
        write = begin(lake)
        with write.add("unit") as unit:
            unit.table("rows", [batch, batch], NUMBERS)
        table = lake.read(write.commit())
        assert table.schema == NUMBERS
        assert table["number"].to_pylist() == [1, 2, 1, 2]

    def test_no_batches_at_all_give_an_empty_table(self, lake: Lake) -> None:
        write = begin(lake)
        with write.add("unit") as unit:
            assert unit.table("rows", [], NUMBERS) == 0
        table = lake.read(write.commit())
        assert (table.num_rows, table.schema) == (0, NUMBERS)

    def test_files_are_plain_parquet_and_npy(self, lake: Lake, tmp_path: Path) -> None:
        write = begin(lake)
        with write.add("unit") as unit:
            unit.table("rows", numbers(4, 5), NUMBERS)
            unit.array("vectors", np.arange(6.0).reshape(3, 2))
        write.commit()
        assert pq.read_table(next(tmp_path.rglob("*.rows.parquet"))).equals(numbers(4, 5))
        np.testing.assert_array_equal(np.load(next(tmp_path.rglob("*.vectors.npy"))), np.arange(6.0).reshape(3, 2))


def write_vectors(lake: Lake, parts: list[np.ndarray]) -> Manifest:
    write = begin(lake)
    for number, part in enumerate(parts):
        with write.add(f"unit {number}") as unit:
            unit.array("vectors", part)
    return write.commit()


class TestArrays:
    def test_matrices_of_several_units_are_one(self, lake: Lake) -> None:
        rng = np.random.default_rng(0)
        parts = [rng.random((rows, 5)).astype(np.float16) for rows in (3, 0, 1, 4)]
        stored = lake.array(write_vectors(lake, parts), "vectors")
        assert (stored.shape, stored.dtype.name, len(stored)) == ((8, 5), "float16", 8)
        np.testing.assert_array_equal(stored[:], np.concatenate(parts))

    def test_columns_of_several_units_are_one(self, lake: Lake) -> None:
        parts = [np.arange(rows, dtype=np.float32) for rows in (3, 0, 2)]
        stored = lake.column(write_vectors(lake, parts), "vectors")
        assert stored.dtype == np.float32
        assert stored.tolist() == [0, 1, 2, 0, 1]

    def test_a_column_that_is_not_there_is_empty(self, lake: Lake) -> None:
        assert lake.column(write_vectors(lake, []), "vectors").shape == (0,)

    @pytest.mark.parametrize(
        "array", [np.arange(24.0).reshape(4, 6)[:, ::2], np.asfortranarray(np.arange(12.0).reshape(4, 3))]
    )
    def test_any_layout_in_memory_is_stored_by_rows(self, lake: Lake, array: np.ndarray) -> None:
        stored = lake.array(write_vectors(lake, [array]), "vectors")
        np.testing.assert_array_equal(stored[:], array)
        assert stored[:].flags.c_contiguous

    def test_matrices_without_rows_keep_their_width_and_dtype(self, lake: Lake) -> None:
        stored = lake.array(write_vectors(lake, [np.empty((0, 7), np.float16)] * 2), "vectors")
        assert (stored.shape, stored.dtype.name) == ((0, 7), "float16")
        assert stored[:].shape == (0, 7)
        assert list(stored.blocks()) == []

    def test_a_matrix_on_a_disk_is_mapped_and_cannot_be_changed(self, lake: Lake) -> None:
        stored = lake.array(write_vectors(lake, [np.ones((4, 3), np.float16)]), "vectors")
        block = stored[1:3]
        assert isinstance(block, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            block[0, 0] = 2

    @pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
    def test_a_large_matrix_is_not_loaded_to_read_a_few_rows(self, lake: Lake) -> None:
        manifest = write_vectors(lake, [np.ones((200_000, 128), np.float32)])
        done = run_python(FEW_ROWS, lake.files.root)
        assert done.returncode == 0, done.stderr
        (file,) = manifest.files("vectors")
        assert file.size_bytes > 100e6
        assert int(done.stdout) < 20e6

    def test_a_matrix_on_object_storage_is_read(self) -> None:
        lake = Lake("mock:///lake")
        lake.files.filesystem.create_dir("lake/table/some", recursive=True)
        parts = [np.arange(6, dtype=np.float16).reshape(3, 2), np.ones((1, 2), np.float16)]
        manifest = write_vectors(lake, parts)
        assert lake.manifest("table", "some") == manifest
        np.testing.assert_array_equal(lake.array(manifest, "vectors")[:], np.concatenate(parts))


FEW_ROWS = """
import os, sys
import numpy as np
from pathlib import Path
from visdiv_assets.storage.lake import Lake

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

lake = Lake(sys.argv[1])
manifest = lake.require("table", "some")
before = resident()
vectors = lake.array(manifest, "vectors")
assert vectors[100_000:100_010].sum() + vectors[np.array([5, 199_999])].sum() == 12 * 128
print(resident() - before)
"""


@st.composite
def stacks(draw: st.DrawFn) -> list[np.ndarray]:
    width = draw(st.integers(0, 3))
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.int64]))
    whole = np.arange(sum(lengths) * width).reshape(-1, width) if width else np.empty((sum(lengths), 0))
    return np.split(whole.astype(dtype), np.cumsum(lengths)[:-1])


BOUNDS = st.none() | st.integers(-25, 25)


class TestRowsOfArrays:
    @settings(deadline=None)
    @given(stacks(), st.data())
    def test_chosen_rows_are_read_as_if_they_were_copied(self, parts: list[np.ndarray], data: st.DataObject) -> None:
        whole = np.concatenate(parts)
        lists = st.lists(st.integers(0, len(whole) - 1), max_size=12) if len(whole) else st.just([])
        rows = np.array(data.draw(lists), dtype=np.int64)
        chosen, copied = RowsOf(StackedArray(parts), rows), whole[rows]
        assert chosen.shape == copied.shape
        start, stop = data.draw(BOUNDS), data.draw(BOUNDS)
        np.testing.assert_array_equal(chosen[start:stop], copied[start:stop], strict=True)
        places = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)[:5]
        np.testing.assert_array_equal(chosen[places], copied[places], strict=True)


class TestStackedArrays:
    @settings(deadline=None)
    @given(stacks(), BOUNDS, BOUNDS)
    def test_slices_equal_those_of_the_concatenation(
        self, parts: list[np.ndarray], start: int | None, stop: int | None
    ) -> None:
        stacked, whole = StackedArray(parts), np.concatenate(parts)
        assert (stacked.shape, stacked.dtype, len(stacked)) == (whole.shape, whole.dtype, len(whole))
        chosen = stacked[start:stop]
        np.testing.assert_array_equal(chosen, whole[start:stop], strict=True)

    @settings(deadline=None)
    @given(stacks(), st.data())
    def test_row_lists_equal_those_of_the_concatenation(self, parts: list[np.ndarray], data: st.DataObject) -> None:
        whole = np.concatenate(parts)
        lists = st.lists(st.integers(0, len(whole) - 1), max_size=12) if len(whole) else st.just([])
        rows = np.array(data.draw(lists), dtype=np.int64)
        np.testing.assert_array_equal(StackedArray(parts)[rows], whole[rows], strict=True)

    @settings(deadline=None)
    @given(stacks(), st.integers(1, 7))
    def test_blocks_are_the_whole_in_order(self, parts: list[np.ndarray], rows: int) -> None:
        stacked, whole = StackedArray(parts), np.concatenate(parts)
        blocks = list(stacked.blocks(rows))
        assert [len(block) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
        assert all(0 < len(block) <= rows for block in blocks)
        np.testing.assert_array_equal(np.concatenate([*blocks, whole[:0]]), whole, strict=True)

    @pytest.mark.parametrize("row", [5, 6, -1, -6])
    def test_rows_that_do_not_exist_are_refused(self, row: int) -> None:
        stacked = StackedArray([np.ones((2, 3)), np.ones((3, 3))])
        with pytest.raises(IndexError):
            stacked[np.array([0, row])]

    def test_a_slice_within_one_part_copies_nothing(self) -> None:
        part = np.ones((4, 3))
        assert np.shares_memory(StackedArray([np.ones((2, 3)), part])[3:5], part)

    def test_no_parts_have_no_rows(self) -> None:
        assert len(StackedArray([])) == 0
        assert list(StackedArray([]).blocks()) == []


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
