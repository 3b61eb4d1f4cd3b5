"""Numbers for the different images of a shard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.ingest import numbering
from visdiv_assets.ingest.numbering import Numbering


@settings(deadline=None)
@given(st.lists(st.integers(0, 12).map(lambda number: f"{number:032x}")), st.integers(1, 5))
def test_images_are_numbered_in_order_of_first_occurrence(ids: list[str], recent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbering, "MIN_RECENT", recent)
        numbers, expected = Numbering(), dict[str, int]()
        for name in ids:
            new = name not in expected
            assert numbers.number(name) == (expected.setdefault(name, len(expected)), new)
        assert len(numbers) == len(expected)
