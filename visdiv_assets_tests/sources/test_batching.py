"""Batches of few bytes, whatever the rows hold."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.sources import batching
from visdiv_assets.sources.batching import cut, limit_rows


@pytest.mark.parametrize(
    ("average", "images", "rows"),
    [
        (0, False, 64),
        (100, False, 64),
        (100, True, 64),
        (2000, True, batching.IMAGE_ROWS),
        (batching.BATCH_BYTES / 4, True, 4),
        (batching.BATCH_BYTES / 4, False, 4),
        (batching.BATCH_BYTES * 40, True, 1),
    ],
)
def test_the_rows_of_a_batch_follow_from_their_average_size(average: float, images: bool, rows: int) -> None:
    assert limit_rows(64, average, images=images) == rows
    assert limit_rows(2, average, images=images) == min(2, rows)


@settings(deadline=None)
@given(
    sizes=st.lists(st.lists(st.integers(0, 300), max_size=12), max_size=4),
    most=st.integers(1, 600),
    batch_rows=st.integers(1, 8),
)
def test_rows_are_cut_by_number_and_bytes(sizes: list[list[int]], most: int, batch_rows: int) -> None:
    schema = pa.schema([("bytes", pa.binary())])
    batches = [pa.record_batch([pa.array([bytes(size) for size in part], pa.binary())], schema) for part in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "BATCH_BYTES", most)
        parts = list(cut(batches, batch_rows))
    assert [row for part in parts for row in part["bytes"].to_pylist()] == [
        bytes(size) for part in sizes for size in part
    ]
    for part in parts:
        assert 1 <= part.num_rows <= batch_rows
        assert part.num_rows == 1 or part.nbytes <= most
