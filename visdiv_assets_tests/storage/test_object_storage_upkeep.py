"""Object storage without locks: garbage is removed by age, and local copies of vectors stay within their limit."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage import partition_write, uris
from visdiv_assets.storage.array_cache import ArrayCache
from visdiv_assets.storage.gc.leftovers import collect_copies
from visdiv_assets.storage.gc.units import SUPERSEDED, UNFINISHED, Findings, Request, collect
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.storage.helpers import NUMBERS, numbers, read_numbers, write_numbers
from visdiv_assets_tests.testing.s3_server import S3Server

HOUR = 3600.0
WEEK = 7 * 24 * HOUR


@pytest.fixture
def root(s3: S3Server) -> str:
    return uris.join(s3.uri(s3.new_bucket()), "lake")


@pytest.fixture
def lake(root: str) -> Lake:
    return Lake(root)


def after(lake: Lake, seconds: float, *, grace: float = WEEK, delete: bool = True) -> Findings:
    """Return what `visdiv gc` finds a number of seconds later."""
    return collect(lake, Request(now=time.time() + seconds, grace=grace, delete=delete))


def begun(lake: Lake, *values: int, **plan: object) -> PartitionWrite:
    """Finish units and do not commit them."""
    write = lake.write("table", "some", **{"code_version": "1", **plan})  # type: ignore[arg-type]
    for value in values:
        with write.add(str(value)) as unit:
            unit.table("rows", numbers(value), NUMBERS)
    return write


def why(findings: Findings) -> list[tuple[str, int]]:
    return [(part.why, part.files) for part in findings.garbage]


def wait_a_second() -> None:
    """Wait, since S3 stores the time of an object in seconds."""
    time.sleep(1.1)


def test_superseded_units_go_after_the_grace(lake: Lake) -> None:
    write_numbers(lake, "some", {"a": [1], "b": [2]})
    write_numbers(lake, "some", {"a": [3]}, settings={"changed": True})
    assert why(after(lake, WEEK - HOUR)) == []
    announced = after(lake, WEEK + HOUR, delete=False)
    assert why(announced) == [(SUPERSEDED, 4)]
    assert after(lake, WEEK + HOUR) == announced
    assert read_numbers(lake, "some") == [3]
    assert why(after(lake, WEEK + HOUR)) == []


def test_units_of_a_run_that_was_killed_go_after_the_grace(lake: Lake) -> None:
    begun(lake, 1, 2)
    assert why(after(lake, WEEK - HOUR)) == []
    assert why(after(lake, WEEK + HOUR)) == [(UNFINISHED, 4)]
    assert lake.partitions("table") == []


def test_without_a_grace_nothing_goes_that_is_not_an_hour_old(lake: Lake) -> None:
    write = begun(lake, 1)
    assert why(after(lake, 0, grace=0)) == []
    write.commit()
    assert read_numbers(lake, "some") == [1]
    begun(lake, 2, settings={"changed": True})
    assert why(after(lake, HOUR + 60, grace=0)) != []


def test_finished_units_stay_as_long_as_the_youngest_of_them(lake: Lake) -> None:
    write_numbers(lake, "some", {"a": [0]})
    wait_a_second()
    write = begun(lake, 1, settings={"changed": True})
    first = int(time.time())
    wait_a_second()
    with write.add("2") as unit:
        unit.table("rows", numbers(2), NUMBERS)
    # The first unit on its own would be old enough.
    between = first + WEEK + 0.5
    assert collect(lake, Request(now=between, grace=WEEK, delete=True)).garbage == []
    write.commit()
    assert read_numbers(lake, "some") == [1, 2]


def test_the_record_of_a_reused_unit_is_written_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(lake, 1, 2)
    wait_a_second()
    monkeypatch.setattr(partition_write, "YOUNG_SECONDS", 0.0)
    old = time.time()
    wait_a_second()
    write = lake.write("table", "some", code_version="1")
    assert write.reuse("1")
    assert collect(lake, Request(now=old + WEEK, grace=WEEK, delete=True)).garbage == []
    assert write.reuse("2")
    write.commit()
    assert read_numbers(lake, "some") == [1, 2]


def test_a_commit_never_names_a_removed_file(lake: Lake) -> None:
    before = write_numbers(lake, "some", {"a": [0]})
    write = begun(lake, 1, settings={"changed": True})
    after(lake, WEEK + HOUR)
    with pytest.raises(VisdivError, match=r"a file of table of 'some' was removed .*: start this run again"):
        write.commit()
    assert lake.manifest("table", "some") == before
    assert read_numbers(lake, "some") == [0]


# Copies of vectors ---------------------------------------------------------------------------------------------------


def write_vectors(lake: Lake, partition: str, *parts: np.ndarray) -> Manifest:
    write = lake.write("vectors", partition, code_version="1")
    for number, part in enumerate(parts):
        with write.add(str(number)) as unit:
            unit.array("vectors", part)
    return write.commit()


def cached(root: str, folder: Path, max_bytes: int = 10**9) -> Lake:
    return Lake(root, cache=ArrayCache(folder, max_bytes))


def test_vectors_are_fetched_once_and_mapped(root: str, s3: S3Server, tmp_path: Path) -> None:
    parts = [np.arange(6, dtype=np.float16).reshape(3, 2), np.ones((1, 2), np.float16)]
    manifest = write_vectors(Lake(root), "some", *parts)
    vectors = cached(root, tmp_path).array(manifest, "vectors")
    np.testing.assert_array_equal(vectors[:], np.concatenate(parts))
    assert all(isinstance(part, np.memmap) and not part.flags.writeable for part in vectors.parts)
    with s3.counted() as again:
        np.testing.assert_array_equal(cached(root, tmp_path).column(manifest, "vectors"), np.concatenate(parts))
    assert again == []


def test_copies_beyond_the_limit_go_and_can_be_read_meanwhile(root: str, tmp_path: Path) -> None:
    parts = [np.full((1000, 8), number, np.float32) for number in range(4)]
    manifest = write_vectors(Lake(root), "some", *parts)
    vectors = cached(root, tmp_path, 40_000).array(manifest, "vectors")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 40_000
    np.testing.assert_array_equal(vectors[:], np.concatenate(parts))


def test_a_damaged_matrix_is_one_line_and_leaves_no_copy(root: str, tmp_path: Path) -> None:
    lake = cached(root, tmp_path)
    manifest = write_vectors(lake, "some", np.ones((10, 2), np.float32))
    path = manifest.path_of(manifest.files("vectors")[0].name)
    for damage in (bytes(manifest.files("vectors")[0].size_bytes), b"cut", None):
        lake.files.remove(path)
        if damage is not None:
            with lake.files.replace(path) as stream:
                stream.write(damage)
        with pytest.raises(VisdivError, match=r"s3://.*\.vectors\.npy is missing or damaged"):
            lake.array(manifest, "vectors")
    assert not list(tmp_path.glob("*.npy"))


def test_unreferenced_copies_go_once_they_are_not_in_use(root: str, tmp_path: Path) -> None:
    lake = cached(root, tmp_path)
    old = write_vectors(lake, "some", np.zeros((10, 2), np.float32))
    lake.array(old, "vectors")
    new = write_vectors(lake, "some", np.ones((10, 2), np.float32))
    lake.array(new, "vectors")
    assert len(list(tmp_path.iterdir())) == 2
    request = Request(now=time.time(), grace=WEEK, delete=True)
    referenced = collect(lake, request).referenced
    assert {file.sha256 for file in new.files("vectors")} <= referenced
    assert collect_copies(tmp_path, referenced, request).garbage == []
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    (gone,) = collect_copies(tmp_path, referenced, request).garbage
    assert (gone.files, gone.size_bytes) == (1, old.files("vectors")[0].size_bytes)
    (left,) = tmp_path.iterdir()
    assert left.stem == hashlib.sha256(left.read_bytes()).hexdigest() == new.files("vectors")[0].sha256
    assert collect_copies(tmp_path / "none", referenced, request).garbage == []
