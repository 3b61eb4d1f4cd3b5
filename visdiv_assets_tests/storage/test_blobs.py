"""Blobs: small files written one after the other, and read at random on a disk and on a real S3 server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import StorageError
from visdiv_assets.storage import blobs, uris
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.storage.helpers import damage
from visdiv_assets_tests.testing.s3_server import S3Server


@pytest.fixture(params=["disk", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "disk":
        return Lake(tmp_path)
    s3: S3Server = request.getfixturevalue("s3")
    return Lake(uris.join(s3.uri(s3.new_bucket()), "lake"))


def write(lake: Lake, *units: list[bytes]) -> Manifest:
    begun = lake.write("table", "some", code_version="1")
    for number, items in enumerate(units):
        with begun.add(str(number)) as unit:
            assert unit.blobs("small", iter(items)) == len(items)
    return begun.commit()


def test_blobs_of_several_units_are_one_sequence(lake: Lake) -> None:
    manifest = write(lake, [b"one", b"", b"three"], [], [b"4" * 100_000, b"five"])
    stored = lake.blobs(manifest, "small")
    assert len(stored) == manifest.rows("small") == 5
    assert stored.read(np.array([4, 1, 0, 3, 0, 2])) == [b"five", b"", b"one", b"4" * 100_000, b"one", b"three"]
    assert stored.read(np.empty(0, np.int64)) == []


def test_a_partition_without_blobs_has_none(lake: Lake) -> None:
    assert len(lake.blobs(write(lake), "small")) == 0


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_that_does_not_exist_is_an_error(tmp_path: Path, row: int) -> None:
    lake = Lake(tmp_path)
    with pytest.raises(IndexError, match="not all in 0 to 1"):
        lake.blobs(write(lake, [b"a", b"b"]), "small").read(np.array([row]))


@settings(max_examples=30, deadline=None)
@given(
    units=st.lists(st.lists(st.binary(max_size=9), max_size=6), max_size=4),
    gap=st.integers(0, 12),
    most=st.integers(1, 20),
    data=st.data(),
)
def test_any_rows_are_read_as_from_a_list(
    tmp_path_factory: pytest.TempPathFactory, units: list[list[bytes]], gap: int, most: int, data: st.DataObject
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    items = [item for unit in units for item in unit]
    rows = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=20)) if items else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs, "_MAX_GAP", gap)
        patch.setattr(blobs, "_MAX_REQUEST", most)
        found = lake.blobs(write(lake, *units), "small").read(np.array(rows, np.int64))
    assert found == [items[row] for row in rows]


def test_neighbors_are_read_in_one_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    stored = lake.blobs(write(lake, [bytes(1000)] * 500), "small")
    requests: list[tuple[int, int]] = []
    ranges = blobs._requests

    def counted(begins: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
        requests.extend(ranges(begins, ends))
        return requests

    monkeypatch.setattr(blobs, "_requests", counted)
    stored.read(np.array([3, 2, 1, 60, 400]))
    assert requests == [(0, 4), (4, 5)]


@pytest.mark.parametrize("file", ["small.blobs", "small_ends.npy"])
@pytest.mark.parametrize("harm", ["cut off", "removed"])
def test_damaged_blobs_are_one_line_and_are_made_again(tmp_path: Path, file: str, harm: str) -> None:
    lake = Lake(tmp_path)
    manifest = write(lake, [b"one", b"two"])
    (path,) = tmp_path.rglob(f"*.{file}")
    damage(path, harm)
    with pytest.raises(StorageError, match="materialize table of 'some' again") as caught:
        lake.blobs(manifest, "small")
    assert str(path) in str(caught.value)
    assert not lake.write("table", "some", code_version="1").reuse("0")


def test_ends_that_do_not_fit_the_bytes_are_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    manifest = write(lake, [b"one", b"two"])
    (path,) = tmp_path.rglob("*.small_ends.npy")
    np.save(path, np.array([3, 7]))
    with pytest.raises(StorageError, match=r"small\.blobs is damaged: materialize its partition again"):
        lake.blobs(manifest, "small")


def test_a_file_that_shrinks_while_it_is_open_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    stored = lake.blobs(write(lake, [b"one", b"two"]), "small")
    (path,) = tmp_path.rglob("*.small.blobs")
    path.write_bytes(b"one")
    with pytest.raises(StorageError, match="is damaged"):
        stored.read(np.array([1]))
