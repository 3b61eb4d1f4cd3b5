"""Conformity against the mean of all cosines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from visdiv_assets.curation.selection.conformity import UnitSum, conformity
from visdiv_assets.errors import VisdivError
from visdiv_assets.vectors import unit_rows
from visdiv_assets_tests.testing.vectors import (
    DTYPES,
    LAYOUTS,
    laid_out,
    random_units,
    sets_of_units,
    slow_similarity,
    unit,
)


def plain(vectors: np.ndarray, among: np.ndarray, first: int = 0) -> list[float]:
    """The mean of the cosines to all others, the rows being those from `first` on."""
    x, y = unit(vectors.astype(np.float64)), unit(among.astype(np.float64))
    return [
        float(np.mean([slow_similarity(x[i], y[j]) for j in range(len(y)) if j != first + i])) for i in range(len(x))
    ]


@settings(deadline=None, max_examples=60)
@given(
    vectors=sets_of_units(5).filter(lambda x: len(x) > 1 and np.abs(x).sum(axis=1).all()), dtype=DTYPES, layout=LAYOUTS
)
def test_it_is_the_mean_cosine_to_all_others(vectors: np.ndarray, dtype: type[np.floating], layout: str) -> None:
    stored: np.ndarray = vectors.astype(dtype)
    np.testing.assert_allclose(conformity(laid_out(stored, layout)), plain(stored, stored), atol=1e-6)


def test_it_is_exact_across_blocks_for_nearly_equal_rows() -> None:
    vectors = (random_units(1, 64) + 0.01 * random_units(3 * unit_rows.BLOCK // 2, 64, seed=1)).astype(np.float16)
    exact = unit(vectors.astype(np.float64))
    wanted = ((exact @ exact.sum(axis=0)) - 1) / (len(exact) - 1)
    np.testing.assert_allclose(conformity(vectors), wanted, atol=2e-7)


def test_among_several_subsets_it_is_that_of_all_together() -> None:
    a, b = random_units(7, 6), random_units(9, 6, seed=1)
    together = np.concatenate([a, b])
    total = UnitSum.of(a) + UnitSum.of(b)
    np.testing.assert_allclose(conformity(a, total), plain(a, together), atol=1e-6)
    np.testing.assert_allclose(conformity(b, total), plain(b, together, first=7), atol=1e-6)


def test_identical_rows_conform_fully_and_a_lone_row_not_at_all() -> None:
    vector = random_units(1, 32).astype(np.float16)
    np.testing.assert_allclose(conformity(np.repeat(vector, 20, axis=0)), 1, atol=1e-6)
    assert conformity(vector).tolist() == [0]


def test_a_sum_over_fewer_rows_or_other_dimensions_is_refused() -> None:
    vectors = random_units(5, 4)
    for among in (UnitSum.of(vectors[:3]), UnitSum.of(random_units(9, 6))):
        with pytest.raises(VisdivError, match="sum a set that contains these vectors"):
            conformity(vectors, among)
