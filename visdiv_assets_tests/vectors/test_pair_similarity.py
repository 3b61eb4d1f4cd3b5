from __future__ import annotations

import numpy as np
import pytest

from visdiv_assets.vectors import pair_similarity
from visdiv_assets.vectors.pair_similarity import inner_products, pair_similarities
from visdiv_assets_tests.testing.vectors import random_units


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("block", [1, 7, 2048])
def test_products_are_the_same_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch, precision: type[np.floating], block: int
) -> None:
    left, right = (random_units(rows, 64, seed=rows).astype(np.float16) for rows in (20, 30))
    left_rows = np.random.default_rng(0).integers(0, 20, 50)
    right_rows = np.random.default_rng(1).integers(0, 30, 50)
    monkeypatch.setattr(pair_similarity, "BLOCK", block)
    found = inner_products(left, right, left_rows, right_rows, precision=precision)
    exact = np.einsum("nd,nd->n", left[left_rows].astype(np.float64), right[right_rows].astype(np.float64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, atol=1e-6)
    if precision is np.float64:
        np.testing.assert_array_equal(found, exact.astype(np.float32))


def test_similarities_are_clipped_and_products_are_not() -> None:
    vectors = np.array([[1.001], [-1.001]], np.float16)
    rows, partners = np.array([0, 0]), np.array([0, 1])
    assert pair_similarities(vectors, vectors, rows, partners).tolist() == [1, -1]
    assert (np.abs(inner_products(vectors, vectors, rows, partners)) > 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_has_no_similarity(value: float) -> None:
    vectors = np.array([[value], [1]], np.float16)
    found = pair_similarities(vectors, vectors, np.array([0, 1]), np.array([1, 1]))
    np.testing.assert_array_equal(found, np.array([np.nan, 1], np.float32))


def test_no_pairs_give_no_similarities() -> None:
    none = np.empty(0, np.int64)
    assert pair_similarities(random_units(2, 4), random_units(3, 4), none, none).shape == (0,)
