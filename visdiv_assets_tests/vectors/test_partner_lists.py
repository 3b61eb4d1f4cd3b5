from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from visdiv_assets.vectors.bounded_tiles import bounded_tiles
from visdiv_assets.vectors.pair_similarity import MARGIN
from visdiv_assets.vectors.partner_lists import PartnerLists, PartnerRule, offer_tile
from visdiv_assets.vectors.top_k import Entries
from visdiv_assets_tests.vectors.test_bounded_tiles import draw_unit

RULE = PartnerRule(floor=0.2, k_best=2, close_floor=0.5, close_k_best=3)


def keys_of(entries: Entries) -> set[tuple[int, int]]:
    return set(zip(entries[0].tolist(), entries[1].tolist(), strict=True))


def best_of(products: np.ndarray, floor: float, k: int) -> set[tuple[int, int]]:
    """Select the K best partners of each row from all products, which have no ties."""
    order = np.argsort(-products, axis=1)[:, :k]
    return {(row, int(b)) for row, of_row in enumerate(order) for b in of_row if products[row, b] >= floor}


@given(st.integers(0, 2**32 - 1), st.integers(2, 50))
def test_lists_of_a_self_join_match_the_full_product(seed: int, rows: int) -> None:
    vectors = draw_unit(np.random.default_rng(seed), rows)
    groups = np.arange(rows, dtype=np.int32) % 3
    lists = PartnerLists(rows, RULE, groups=groups)
    for tile in bounded_tiles(vectors, None, (lists.bounds, lists.bounds), device="cpu").between(0, rows):
        offer_tile(tile, lists, lists)
    products = vectors.astype(np.float64) @ vectors.T
    np.fill_diagonal(products, -1)
    # Partners less than the margin under a floor are kept too.
    assume(all(np.abs(products - floor).min() > 2 * MARGIN for floor in (RULE.floor, RULE.close_floor)))
    assert keys_of(lists.candidates()) == best_of(products, RULE.floor, RULE.k_best)
    assert keys_of(lists.close()) == best_of(products, RULE.close_floor, RULE.close_k_best)
    expected = [best_of(np.where(groups == each, products, -1), RULE.close_floor, 1) for each in range(3)]
    assert keys_of(lists.best_of_groups()) == set.union(*expected)


def test_lists_of_two_sets_keep_partners_on_both_sides() -> None:
    random = np.random.default_rng(1)
    left, right = draw_unit(random, 40), draw_unit(random, 30)
    sides = PartnerLists(40, RULE), PartnerLists(30, RULE)
    for tile in bounded_tiles(left, right, (sides[0].bounds, sides[1].bounds), device="cpu").between(0, 40):
        offer_tile(tile, *sides)
    products = left.astype(np.float64) @ right.T
    for lists, of_side in zip(sides, (products, products.T), strict=True):
        assert keys_of(lists.candidates()) == best_of(of_side, RULE.floor, RULE.k_best)
        assert keys_of(lists.close()) == best_of(of_side, RULE.close_floor, RULE.close_k_best)
        assert len(lists.best_of_groups()[0]) == 0
