from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visdiv_assets.vectors import top_k as module
from visdiv_assets.vectors.tiles import round_products
from visdiv_assets.vectors.top_k import BestPartners, Entries, SparseBestPartners

Offers = list[tuple[int, int, float]]

ROWS = 12
#: Few different similarities, so that there are ties. Each pair of a row and a partner has one.
OFFERS = st.dictionaries(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, 2**31 - 1)), st.sampled_from([-1.5, 0.25, 0.5, 1.0, 1.001])
).map(lambda found: [(*key, value) for key, value in found.items()])


def best_of(offers: Offers, k: int) -> Offers:
    """Select the K best of each row one by one."""
    found = []
    for row in range(ROWS):
        of_row = sorted((-similarity, partner) for each, partner, similarity in set(offers) if each == row)
        found += [(row, partner, -similarity) for similarity, partner in of_row[:k]]
    return found


def columns(offers: Offers) -> Entries:
    row, partner, similarity = (np.array([each[index] for each in offers]) for index in range(3))
    return row.astype(np.int64), partner.astype(np.int64), round_products(similarity.astype(np.float32))


def check(kept: Entries, offers: Offers, k: int) -> None:
    expected = columns(best_of(offers, k))
    for found, column in zip(kept, expected, strict=True):
        assert found.tolist() == column.tolist()


@given(OFFERS, OFFERS, st.integers(1, 4), st.sampled_from([1, 3, 1 << 16]))
def test_best_partners_match_a_sort(offers: Offers, more: Offers, k: int, waiting: int) -> None:
    known = {(row, partner) for row, partner, _ in offers}
    more = [each for each in more if each[:2] not in known]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_WAITING", waiting)
        for best in (BestPartners(ROWS, k), SparseBestPartners(k)):
            best.offer(*columns(offers))
            best.offer(*columns(more))
            best.offer(*columns(offers[:3]))
            check(best.kept(), offers + more, k)


@pytest.mark.parametrize("make", [lambda: BestPartners(1 << 20, 2), lambda: SparseBestPartners(2)])
def test_keys_that_do_not_fit_are_merged_in_parts(make: Callable[[], BestPartners | SparseBestPartners]) -> None:
    rows = np.repeat(np.arange(1 << 20), 3)
    partners = np.tile([2**31 - 1, 7, 5], 1 << 20)
    best = make()
    best.offer(rows, partners, np.tile(np.array([0.5, 0.25, 0.5], np.float32), 1 << 20))
    row, partner, similarity = best.kept()
    assert (row == np.repeat(np.arange(1 << 20), 2)).all()
    assert (partner == np.tile([5, 2**31 - 1], 1 << 20)).all()
    assert (similarity == 0.5).all()


def test_bounds_rise_to_the_kth_best_up_to_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    best = BestPartners(3, 2, floor=0.25, cap=0.75)
    bounds = best.bounds
    best.offer(np.array([0, 1, 1, 2, 2]), np.array([4, 4, 5, 4, 5]), np.array([1, 0.5, 0.625, 1, 0.875], np.float32))
    assert bounds.tolist() == [0.25, 0.5, 0.75]
