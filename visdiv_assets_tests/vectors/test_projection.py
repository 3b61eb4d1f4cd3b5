"""The bound holds for every pair, and the number of directions is chosen by what vectors not seen before will cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.vectors.projection import CHOICES, Costs, Projection, choose_projection
from visdiv_assets_tests.testing.vectors import random_units, unit

COSTS = Costs(pair=24, candidate=600_000)

relaxed = settings(deadline=None, max_examples=40)


def some_directions(dimension: int, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.ascontiguousarray(np.linalg.qr(random.standard_normal((dimension, count)))[0], np.float32)


def flat(rows: int, seed: int = 0, directions: int = 40, noise: float = 0.01) -> np.ndarray:
    """Unit vectors of 256 dimensions that nearly lie in few."""
    random = np.random.default_rng(seed)
    within = random.standard_normal((rows, directions)) @ some_directions(256, directions, 7).T.astype(np.float64)
    return unit(within + noise * random.standard_normal((rows, 256))).astype(np.float16)


@relaxed
@given(
    seed=st.integers(0, 2**16),
    dimension=st.sampled_from([1, 2, 5, 64, 200]),
    share=st.floats(0, 1),
    spread=st.sampled_from([0.0, 1e-3, 0.1, 1.0]),
    dtype=st.sampled_from([np.float16, np.float32]),
    within=st.booleans(),
)
def test_the_projected_product_is_never_below_the_product(
    seed: int, dimension: int, share: float, spread: float, dtype: type, within: bool
) -> None:
    random = np.random.default_rng(seed)
    directions = some_directions(dimension, max(1, int(share * dimension)), seed)
    near = random.standard_normal((1, dimension))
    if within:
        near = directions.astype(np.float64) @ random.standard_normal((directions.shape[1], 1))
        near = near.T
    x = unit(unit(near) + spread * random.standard_normal((30, dimension))).astype(dtype).astype(np.float32)
    # Equal, opposite and unrelated vectors as well.
    y = np.concatenate([x, -x[:5], random_units(10, dimension, seed)])
    projection = Projection(directions)
    projected = projection.apply(x)
    assert projected.shape == (30, directions.shape[1] + 1)
    assert projected.dtype == np.float32
    bound = projected @ projection.apply(y).T
    assert (bound >= x.astype(np.float64) @ y.T.astype(np.float64)).all()


def test_with_all_directions_the_bound_is_the_product_itself() -> None:
    x = random_units(50, 64)
    projected = Projection(some_directions(64, 64, 1)).apply(x)
    np.testing.assert_allclose(projected @ projected.T, x @ x.T, atol=2e-5)
    assert Projection(None).apply(x) is x


def test_directions_that_fit_only_the_sample_are_not_chosen() -> None:
    # 160 random vectors lie in 191 directions without rest; of 160 others they leave out half.
    vectors = random_units(320, 240)
    assert choose_projection(vectors, vectors, 0.35, COSTS).directions is None
    assert choose_projection(vectors[:160], random_units(160, 240, seed=1), 0.35, COSTS).directions is None


@pytest.mark.parametrize("within", [True, False])
def test_vectors_that_lie_in_few_directions_are_projected_on_few(within: bool) -> None:
    left = flat(800, 1)
    right = left if within else flat(800, 2)
    # What 31 of the 40 directions leave out lets pairs pass that 63 would stop.
    chosen = choose_projection(left, right, 0.7, COSTS)
    assert chosen.directions is not None
    assert chosen.directions.dtype == np.float32
    assert chosen.directions.shape == (256, 63)
    np.testing.assert_allclose(chosen.directions.T @ chosen.directions, np.eye(63), atol=1e-5)
    x = left.astype(np.float32)
    projected = chosen.apply(x)
    np.testing.assert_allclose(projected @ projected.T, x @ x.T, atol=0.1)


def test_the_choice_costs_least_on_vectors_that_were_not_fitted() -> None:
    vectors = flat(600, 3, directions=120, noise=0.02).astype(np.float32)
    chosen = choose_projection(vectors, vectors, 0.5, COSTS)
    assert chosen.directions is not None
    directions = np.linalg.eigh((vectors[::2].T @ vectors[::2]).astype(np.float64))[1][:, ::-1]
    others = vectors[1::2]
    costs = {}
    for count in (each for each in CHOICES if each < 256):
        projected = Projection(directions[:, :count].astype(np.float32)).apply(others)
        passing = int((projected @ projected.T >= 0.5).sum()) - len(others)
        costs[count] = count + 1 + COSTS.pair + passing / len(others) ** 2 * COSTS.candidate
    assert chosen.directions.shape[1] == min(costs, key=lambda count: costs[count])


def test_low_dimensions_are_not_projected() -> None:
    vectors = random_units(100, 31)
    assert choose_projection(vectors, vectors, 0.9, COSTS).directions is None


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_tiny_sets_and_vectors_that_are_not_finite_are_accepted(rows: int) -> None:
    vectors = random_units(rows, 64).astype(np.float16)
    vectors[0, 3], vectors[-1, 4] = np.nan, np.inf
    for right in (vectors, random_units(2, 64, seed=1)):
        directions = choose_projection(vectors, right, 0.9, COSTS).directions
        assert directions is None or np.isfinite(directions).all()
