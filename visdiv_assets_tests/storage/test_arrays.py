"""Stored arrays of several units: slices, lists of rows, and blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.storage.helpers import begin, run_python


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


def lists_of_rows(count: int) -> st.SearchStrategy[np.ndarray]:
    """Some rows of so many, in any order, some more than once: int64."""
    lists = st.lists(st.integers(0, count - 1), max_size=12) if count else st.just([])
    return lists.map(lambda rows: np.array(rows, np.int64))


class TestRowsOfArrays:
    @settings(deadline=None)
    @given(stacks(), st.data())
    def test_chosen_rows_are_read_as_if_they_were_copied(self, parts: list[np.ndarray], data: st.DataObject) -> None:
        whole = np.concatenate(parts)
        rows = data.draw(lists_of_rows(len(whole)))
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
        rows = data.draw(lists_of_rows(len(whole)))
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
