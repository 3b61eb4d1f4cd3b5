"""The free space that is reserved on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.disk_space import GIGABYTE, Space, require_space, reserve_on, space_of
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import NUMBERS, files_below, numbers, read_numbers, write_numbers


def test_the_disk_of_a_missing_folder_is_that_of_its_parent(tmp_path: Path) -> None:
    found = space_of(tmp_path / "a" / "b")
    assert found.total == space_of(tmp_path).total
    assert 0 <= found.free <= found.total
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("total", "expected"),
    [(1000 * GIGABYTE, 2 * GIGABYTE), (20 * GIGABYTE, 2 * GIGABYTE), (5 * GIGABYTE, GIGABYTE // 2)],
)
def test_a_small_disk_keeps_a_tenth(total: int, expected: int) -> None:
    assert reserve_on(Space(total, 0), 2 * GIGABYTE) == expected


def on_a_disk(monkeypatch: pytest.MonkeyPatch, *, free: int, total: int = 1000 * GIGABYTE) -> None:
    monkeypatch.setattr(disk_space, "space_of", lambda folder: Space(total, free))


def test_what_is_free_may_be_as_little_as_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_disk(monkeypatch, free=GIGABYTE)
    require_space(tmp_path, GIGABYTE)
    with pytest.raises(VisdivError, match=f"the disk of {tmp_path} has 1.00 GB free, less than the reserve of 1.00 GB"):
        require_space(tmp_path, GIGABYTE + 1)


def test_no_reserve_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_disk(monkeypatch, free=0)
    require_space(tmp_path, 0)


def test_a_unit_is_not_begun_and_those_before_it_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path, reserve_bytes=GIGABYTE)
    on_a_disk(monkeypatch, free=2 * GIGABYTE)
    write = lake.write("table", "some", code_version="1")
    with write.add("first") as unit:
        unit.table("rows", numbers(1), NUMBERS)
    before = files_below(tmp_path)
    on_a_disk(monkeypatch, free=GIGABYTE - 1)
    with pytest.raises(VisdivError, match="VISDIV_DISK_RESERVE_GIGABYTES"), write.add("second"):
        pytest.fail("the unit was begun")
    assert files_below(tmp_path) == before
    del write
    on_a_disk(monkeypatch, free=2 * GIGABYTE)
    again = lake.write("table", "some", code_version="1")
    assert again.reuse("first")
    assert not again.reuse("second")


def test_readers_need_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_numbers(Lake(tmp_path), "some", {"unit": [1, 2]})
    on_a_disk(monkeypatch, free=0)
    assert read_numbers(Lake(tmp_path, reserve_bytes=GIGABYTE), "some") == [1, 2]
