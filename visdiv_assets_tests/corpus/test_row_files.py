"""Where rows are in the source."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.corpus.row_files import RowFiles

FILES = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=4)


@given(files=FILES, index=st.integers(0, 2))
def test_each_row_is_found_in_its_file(files: list[list[int]], index: int) -> None:
    """Files are lists of rows, and rows are numbers of images."""
    counts = [count for file in files for count in file]
    positions = [(row, image) for row, count in enumerate(counts) for image in range(count)]
    found = RowFiles(
        tuple(f"{number}.parquet" for number in range(len(files))),
        np.concatenate([[0], np.cumsum([len(file) for file in files])]).astype(np.int64),
        np.array([row for row, _ in positions], np.int64),
        pa.chunked_array([pa.array([f"{row}.{image}.png" for row, image in positions], pa.string())]),
    ).find(np.arange(len(counts)), np.full(len(counts), index))
    expected = [(f"{number}.parquet", row) for number, file in enumerate(files) for row in range(len(file))]
    assert list(zip(found["file"].to_pylist(), found["row_in_file"].to_pylist(), strict=True)) == expected
    assert found["path"].to_pylist() == [
        f"{row}.{index}.png" if index < count else None for row, count in enumerate(counts)
    ]


def test_a_row_that_is_a_file_is_found_by_its_path() -> None:
    paths = pa.chunked_array([pa.array(["a.png", "b/c.png"])])
    files = RowFiles((), np.zeros(1, np.int64), np.array([0, 1]), paths)
    found = files.find(np.array([1]), np.array([0]))
    assert {name: values.to_pylist() for name, values in found.items()} == {
        "file": ["b/c.png"],
        "row_in_file": [0],
        "path": ["b/c.png"],
    }
