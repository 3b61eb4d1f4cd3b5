"""Garbage collection removes garbage, but no file that a manifest names or that a run needs to resume."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.gc.leftovers import collect_leftovers
from visdiv_assets.storage.gc.units import (
    SUPERSEDED,
    TEMPORARY,
    UNFINISHED,
    VANISHED,
    Findings,
    Garbage,
    Request,
    collect,
)
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.storage.helpers import (
    NUMBERS,
    ODD_NAMES,
    REPOSITORY,
    files_below,
    numbers,
    read_numbers,
    write_numbers,
)

DAY = 86_400.0
WEEK = 7 * DAY


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def killed(lake: Lake, partition: str, units: Mapping[str, Sequence[int]], **plan: Any) -> PartitionWrite:
    """Finish some units and never commit them."""
    write = lake.write("table", partition, **{"code_version": "1", **plan})
    for name, values in units.items():
        with write.add(name, {"values": str(values)}) as unit:
            unit.table("rows", numbers(*values), NUMBERS)
    if write._hold:
        write._hold.release()
    return write


def age(root: str | Path, seconds: float, pattern: str = "*") -> None:
    """Make the files in a folder older."""
    for path in Path(root).rglob(pattern):
        if path.is_file():
            before = path.stat().st_mtime
            os.utime(path, (before, before - seconds))


def gc(lake: Lake, *, grace: float = WEEK, delete: bool = True, **wishes: Any) -> Findings:
    return collect(lake, Request(now=time.time(), grace=grace, delete=delete, **wishes))


def reasons(findings: Findings) -> dict[str, tuple[int, int]]:
    """Return the number of removable files and their bytes, by reason."""
    found: dict[str, tuple[int, int]] = {}
    for part in findings.garbage:
        files, size = found.get(part.why, (0, 0))
        found[part.why] = files + part.files, size + part.size_bytes
    return found


def size_of(manifest: Manifest, lake: Lake) -> int:
    """Return the total size of the files of a manifest and of its units' records."""
    folder = Path(lake.files.root) / manifest.table / escape(manifest.partition)
    names = [f"{unit.digest}.unit.json" for unit in manifest.units]
    names += [file.name for unit in manifest.units for file in unit.files.values()]
    return sum((folder / name).stat().st_size for name in names)


# Any lake ------------------------------------------------------------------------------------------------------------

PARTITIONS = ("some", "geoqa+(x)", "../x")
UNITS = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 9), max_size=3), max_size=3)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["commit", "killed"]), st.sampled_from(PARTITIONS), st.integers(0, 2), UNITS),
    st.tuples(st.just("damage"), st.sampled_from(PARTITIONS), st.sampled_from(["record", "data", "temporary"])),
    st.tuples(st.just("wait"), st.integers(0, 12)),
)


def play(lake: Lake, steps: list[tuple[Any, ...]]) -> None:
    """Carry out commits, killed writes, damage and days of waiting."""
    for kind, *rest in steps:
        if kind == "wait":
            age(lake.files.root, rest[0] * DAY)
        elif kind == "damage":
            partition, what = rest
            folder = Path(lake.files.root) / "table" / escape(partition)
            folder.mkdir(parents=True, exist_ok=True)
            name = {"record": ".unit.json", "data": ".rows.parquet"}.get(what)
            path = folder / (f"{'0' * 32}{name}" if name else f".x.{'0' * 32}.tmp")
            path.write_bytes(b"damaged")
        else:
            partition, setting, units = rest
            write = killed(lake, partition, units, settings={"setting": setting})
            if kind == "commit":
                write.commit()


@settings(deadline=None, max_examples=60)
@given(st.lists(STEPS, max_size=10), st.integers(0, 14))
def test_manifests_read_equally_and_a_second_run_finds_nothing(steps: list[tuple[Any, ...]], grace_days: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        play(lake, steps)
        before = {name: (lake.require("table", name)) for name in lake.partitions("table")}
        rows = {name: read_numbers(lake, name) for name, manifest in before.items() if manifest.units}
        files = files_below(Path(folder))
        # Half a day more, since what was made at the same moment as the lake is as old as a whole number of days.
        grace = (grace_days + 0.5) * DAY
        young = {
            path
            for path in files
            if time.time() - (Path(folder) / path).stat().st_mtime <= (3600 if path.endswith(".tmp") else grace)
        }
        announced = gc(lake, grace=grace, delete=False)
        assert files_below(Path(folder)) == files
        removed = gc(lake, grace=grace)
        assert removed == announced
        left = files_below(Path(folder))
        gone = {path: data for path, data in files.items() if path not in left}
        assert {name: lake.require("table", name) for name in lake.partitions("table")} == before
        assert {name: read_numbers(lake, name) for name in rows} == rows
        assert (len(gone), sum(map(len, gone.values()))) == (removed.files, removed.size_bytes)
        assert not young & gone.keys()
        again = gc(lake, grace=grace)
        assert (again.garbage, again.young_files) == ([], removed.young_files)
        assert gc(lake, grace=-1.0).skipped == []
        assert {name: read_numbers(lake, name) for name in rows} == rows


@settings(deadline=None, max_examples=40)
@given(st.lists(STEPS, max_size=6), UNITS, st.integers(0, 6))
def test_a_killed_run_resumes_from_its_units_within_the_grace(
    steps: list[tuple[Any, ...]], units: dict[str, list[int]], days: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        play(lake, steps)
        killed(lake, "some", units, settings={"mine": True})
        age(folder, days * DAY)
        gc(lake)
        again = lake.write("table", "some", code_version="1", settings={"mine": True})
        assert [again.reuse(name, {"values": str(values)}) for name, values in units.items()] == [True] * len(units)
        assert again.commit().rows("rows") == sum(map(len, units.values()))


# One reason after the other ------------------------------------------------------------------------------------------


def test_superseded_files_go_after_the_grace_and_are_measured(lake: Lake) -> None:
    first = write_numbers(lake, "some", {"a": [1], "b": [2]})
    size = size_of(first, lake)
    write_numbers(lake, "some", {"a": [3]}, settings={"changed": True})
    assert (gc(lake).garbage, gc(lake).young_files, gc(lake).young_bytes) == ([], 4, size)
    age(lake.files.root, 8 * DAY)
    assert gc(lake).garbage == [Garbage("table", "some", SUPERSEDED, 4, size)]
    assert read_numbers(lake, "some") == [3]


def test_units_of_a_killed_run_are_told_from_superseded_ones(lake: Lake) -> None:
    write_numbers(lake, "some", {"a": [1]})
    age(lake.files.root, DAY)
    killed(lake, "some", {"a": [3]}, settings={"changed": True})
    age(lake.files.root, 8 * DAY)
    assert set(reasons(gc(lake))) == {UNFINISHED}
    assert read_numbers(lake, "some") == [1]


def test_a_killed_first_run_keeps_its_units_while_one_is_young(lake: Lake, tmp_path: Path) -> None:
    killed(lake, "some", {"a": [1]})
    age(lake.files.root, 8 * DAY)
    killed(lake, "some", {"b": [2]})
    assert (gc(lake).garbage, gc(lake).young_files) == ([], 4)
    age(lake.files.root, 8 * DAY)
    assert reasons(gc(lake))[UNFINISHED][0] == 4
    assert not (tmp_path / "lake" / "table" / "some").exists()


def test_temporary_files_go_after_an_hour(lake: Lake, tmp_path: Path) -> None:
    write_numbers(lake, "some", {"a": [1]})
    left = tmp_path / "lake" / "table" / "some" / f".manifest.json.{'a' * 32}.tmp"
    left.write_bytes(b"12345")
    age(left.parent, 3000, left.name)
    assert gc(lake).garbage == []
    age(left.parent, 3000, left.name)
    assert gc(lake).garbage == [Garbage("table", "some", TEMPORARY, 1, 5)]
    assert not left.exists()


def test_files_that_the_program_does_not_name_are_skipped(lake: Lake, tmp_path: Path) -> None:
    write_numbers(lake, "some", {"a": [1]})
    partition = tmp_path / "lake" / "table" / "some"
    others = [partition / "README", partition / ".hidden.tmp", tmp_path / "lake" / "table" / "a b" / "x.parquet"]
    others += [partition / "folder" / f"{'0' * 32}.rows.parquet"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    age(lake.files.root, 100 * DAY)
    assert gc(lake, grace=0).garbage == []
    assert all(path.exists() for path in others)


def test_nothing_is_removed_unless_asked(lake: Lake, tmp_path: Path) -> None:
    killed(lake, "some", {"a": [1]})
    age(lake.files.root, 8 * DAY)
    before = files_below(tmp_path)
    assert gc(lake, delete=False).files == 2
    assert files_below(tmp_path) == before


def test_a_partition_whose_manifest_is_damaged_keeps_everything(lake: Lake, tmp_path: Path) -> None:
    write_numbers(lake, "some", {"a": [1]})
    (tmp_path / "lake" / "table" / "some" / "manifest.json").write_bytes(b"{")
    age(lake.files.root, 100 * DAY)
    before = files_below(tmp_path)
    findings = gc(lake, grace=0)
    assert findings.garbage == []
    assert "is not a manifest of this program" in findings.skipped[0]
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_lose_what_can_go_and_nothing_else(lake: Lake, name: str) -> None:
    write_numbers(lake, name, {"a": [1]})
    write_numbers(lake, name, {"a": [2]}, settings={"changed": True})
    age(lake.files.root, 8 * DAY)
    assert [part.partition for part in gc(lake).garbage] == [name]
    assert read_numbers(lake, name) == [2]


def test_a_partition_that_another_process_writes_is_passed_over(lake: Lake, tmp_path: Path) -> None:
    code = """
import sys
from visdiv_assets.storage.lake import Lake
write = Lake(sys.argv[1]).write("table", "some", code_version="1", settings={"changed": True})
print("writing", flush=True)
sys.stdin.read()
print(write.reuse("a", {"values": "[7]"}), flush=True)
write.commit()
"""
    # An old unit that the other process is about to reuse, and that gc would otherwise remove.
    killed(lake, "some", {"a": [7]}, settings={"changed": True})
    write_numbers(lake, "other", {"a": [1]})
    write_numbers(lake, "other", {"a": [2]}, settings={"changed": True})
    age(lake.files.root, 8 * DAY)
    writer = subprocess.Popen(
        [sys.executable, "-c", code, lake.files.root],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    findings = gc(lake)
    assert findings.skipped == ["table of 'some': it is being written"]
    assert [part.partition for part in findings.garbage] == ["other"]
    assert writer.communicate(timeout=60)[0] == "True\n"
    assert read_numbers(lake, "some") == [7]
    assert gc(lake).garbage == []


def test_what_cannot_be_removed_is_one_line(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(lake, "some", {"a": [1]})
    age(lake.files.root, 8 * DAY)

    class ReadOnly:
        def __init__(self, inner: pafs.FileSystem) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def delete_file(self, path: str) -> None:
            raise PermissionError(13, "Permission denied")

    lake.files.filesystem = ReadOnly(lake.files.filesystem)
    monkeypatch.setattr(type(lake.files), "is_local", property(lambda self: True))
    with pytest.raises(VisdivError, match=r"cannot remove .*\.unit\.json: Permission denied: fix the permissions"):
        gc(lake)


def test_a_lake_on_another_file_system_is_cleaned_too() -> None:
    lake = Lake("mock:///lake")
    lake.files.filesystem.create_dir("lake/table/some", recursive=True)
    write_numbers(lake, "some", {"a": [1]})
    write_numbers(lake, "some", {"a": [2]}, settings={"changed": True})
    later = Request(now=time.time() + 8 * DAY, grace=WEEK, delete=True)
    assert [(part.why, part.files) for part in collect(lake, later).garbage] == [(SUPERSEDED, 2)]
    assert read_numbers(lake, "some") == [2]
    assert collect(lake, later).garbage == []


# Subsets that the source no longer has -------------------------------------------------------------------------------


def test_vanished_partitions_go_only_when_requested(lake: Lake, tmp_path: Path) -> None:
    gone = write_numbers(lake, "gone", {"a": [1]})
    killed(lake, "gone", {"a": [3]}, settings={"changed": True})
    write_numbers(lake, "held", {"a": [2]})
    size = size_of(gone, lake) + (tmp_path / "lake/table/gone/manifest.json").stat().st_size
    young = sum(path.stat().st_size for path in (tmp_path / "lake/table/gone").iterdir()) - size
    told = gc(lake, known_names={"held"})
    assert (told.young_files, told.young_bytes) == (2, young)
    assert (told.garbage, told.vanished) == ([], [Garbage("table", "gone", VANISHED, 3, size)])
    assert read_numbers(lake, "gone") == [1]
    removed = gc(lake, known_names={"held"}, with_vanished=True)
    assert (removed.garbage, removed.vanished) == ([Garbage("table", "gone", VANISHED, 5, size + young)], [])
    assert lake.partitions("table") == ["held"]
    assert not (tmp_path / "lake" / "table" / "gone").exists()


def test_what_the_source_holds_is_not_always_known(lake: Lake) -> None:
    write_numbers(lake, "some", {"a": [1]})
    findings = gc(lake, known_names=None, with_vanished=True)
    assert (findings.garbage, findings.vanished) == ([], [])


# Beside the lake -----------------------------------------------------------------------------------------------------


def test_temporary_files_outside_the_lake_go_after_an_hour(tmp_path: Path) -> None:
    left = [
        tmp_path / f".visdiv.duckdb.{'a' * 32}.tmp",
        tmp_path / f".visdiv.duckdb.{'a' * 32}.tmp.wal",
        tmp_path / f".visdiv.duckdb.{'a' * 32}.tmp.tmp" / "spilled",
        tmp_path / "reports" / "leaks" / f".a.html.{'b' * 32}.tmp",
        tmp_path / "reports" / f".site.{'d' * 32}.tmp" / "index.html",
        tmp_path / "weights" / f".x.pt.{'c' * 32}.tmp",
    ]
    kept = [
        tmp_path / "visdiv.duckdb",
        tmp_path / "clean" / f".x.parquet.{'d' * 32}.tmp",
        tmp_path / "weights" / "x.pt",
    ]
    for path in [*left, *kept]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    now = time.time()
    assert collect_leftovers(tmp_path, Request(now=now + 3000, grace=0, delete=True)).garbage == []
    found = collect_leftovers(tmp_path, Request(now=now + 4000, grace=0, delete=True))
    assert {part.why for part in found.garbage} == {TEMPORARY}
    assert (found.files, found.size_bytes) == (6, 18)
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)


def test_reports_on_vanished_subsets_go_only_when_requested(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for folder, name in (("duplicates", "geoqa+(x)"), ("duplicates", "held"), ("leaks", "bench")):
        (reports / folder).mkdir(parents=True, exist_ok=True)
        (reports / folder / f"{escape(name)}.html").write_bytes(b"<html>")
    request = Request(now=time.time(), grace=0, known_names={"held", "bench"}, delete=True)
    expected = [Garbage("reports/duplicates", "geoqa+(x)", VANISHED, 1, 6)]
    assert collect_leftovers(tmp_path, request).vanished == expected
    assert len(files_below(reports)) == 3
    asked = Request(now=time.time(), grace=0, known_names={"held", "bench"}, with_vanished=True, delete=True)
    assert collect_leftovers(tmp_path, asked).garbage == expected
    assert sorted(files_below(reports)) == ["duplicates/held.html", "leaks/bench.html"]


def test_a_data_folder_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    request = Request(now=0, grace=0, known_names=set(), with_vanished=True, delete=True)
    assert collect_leftovers(tmp_path / "none", request) == Findings()
    assert collect(Lake(tmp_path / "none"), request) == Findings()
    assert list(tmp_path.iterdir()) == []
