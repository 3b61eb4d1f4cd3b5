"""Parts of the conformed columns that other rooms use: where the entries of lists are."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.sources.conform import positions_of_entries


@given(st.lists(st.none() | st.integers(0, 4), max_size=30))
def test_each_entry_has_its_row_and_its_index(lengths: list[int | None]) -> None:
    rows, index = positions_of_entries(pa.array(lengths, pa.int32()))
    expected = [(row, entry) for row, length in enumerate(lengths) for entry in range(length or 0)]
    assert list(zip(rows.tolist(), index.tolist(), strict=True)) == expected
