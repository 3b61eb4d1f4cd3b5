"""The best mixture against a generic solver, its certificate, and its bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from visdiv_assets.diversity.mixture import OBJECTIVES, best_mixture, score_of
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import scores
from visdiv_assets.diversity.simplex import best_weights, nearest_weights
from visdiv_assets.errors import VisdivError


def subset(seed: int, dimension: int = 6, rank: int | None = None, count: int = 40) -> Moments:
    random = np.random.default_rng(seed)
    spread = np.diag(random.uniform(0.05, 1.0, dimension)) @ np.linalg.qr(random.normal(size=(dimension,) * 2))[0]
    vectors = random.normal(size=(count, dimension)) @ spread
    if rank is not None:
        vectors = vectors[:, :rank] @ np.linalg.qr(random.normal(size=(dimension, dimension)))[0][:rank]
    return Moments.from_vectors(vectors, model_id="m")


def plain_value(moments: Sequence[Moments], weights: np.ndarray, objective: str) -> float:
    """What is maximized, written down from its definition."""
    matrix = sum(w * m.second_moment / m.n for w, m in zip(weights, moments, strict=True))
    values = np.clip(np.linalg.eigvalsh(matrix), 0, None)
    if objective == "participation_ratio":
        return -float(np.sum(values**2))
    values = values[values > 1e-15]
    return -float(values @ np.log(values))


def solved_by_scipy(
    moments: Sequence[Moments], objective: str, lower: np.ndarray | None = None, upper: np.ndarray | None = None
) -> float:
    count = len(moments)
    low, high = np.zeros(count) if lower is None else lower, np.ones(count) if upper is None else upper
    best = -np.inf
    for seed in range(3):
        start = np.random.default_rng(seed).dirichlet(np.full(count, 5.0))
        found = minimize(
            lambda w: -plain_value(moments, w, objective),
            np.clip(start, low, high),
            method="SLSQP",
            bounds=list(zip(low, high, strict=True)),
            constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1}],
            options={"maxiter": 500, "ftol": 1e-12},
        )
        if found.success:
            best = max(best, -float(found.fun))
    assert np.isfinite(best)
    return best


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("count", [2, 3, 5, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_mixture_is_that_of_a_generic_solver(objective: str, count: int, seed: int) -> None:
    moments = [subset(100 * seed + number, rank=None if number % 2 else 3) for number in range(count)]
    found = best_mixture(moments, objective=objective)
    assert found.converged
    assert plain_value(moments, found.weights, objective) == pytest.approx(
        solved_by_scipy(moments, objective), abs=1e-6
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_bounds_are_kept_and_the_best_within_them_is_found(objective: str) -> None:
    moments = [subset(number) for number in range(6)]
    lower, upper = np.array([0.1, 0, 0, 0, 0, 0.05]), np.array([1, 0.2, 0.15, 0.2, 0.3, 1])
    found = best_mixture(moments, objective=objective, lower=lower, upper=upper)
    assert (found.weights >= lower - 1e-12).all()
    assert (found.weights <= upper + 1e-12).all()
    assert plain_value(moments, found.weights, objective) == pytest.approx(
        solved_by_scipy(moments, objective, lower, upper), abs=1e-6
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.sampled_from(OBJECTIVES))
def test_no_other_weights_exceed_the_certificate(seed: int, count: int, objective: str) -> None:
    moments = [subset(seed + number, dimension=4, rank=1 + (seed + number) % 4, count=9) for number in range(count)]
    found = best_mixture(moments, objective=objective)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert found.weights.min() >= 0
    assert found.score <= found.best_possible
    for weights in np.random.default_rng(seed).dirichlet(np.ones(count), 20):
        assert score_of(moments, weights, objective) <= found.best_possible * (1 + 1e-9)


def test_one_subset_is_its_own_mixture() -> None:
    found = best_mixture([subset(1)])
    assert found.weights == pytest.approx([1])
    assert found.score == pytest.approx(scores(subset(1), centered=False).effective_rank)


def test_equal_subsets_reach_what_one_of_them_does() -> None:
    found = best_mixture([subset(3)] * 5)
    assert found.score == pytest.approx(scores(subset(3), centered=False).effective_rank)
    assert found.converged


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_subsets_of_one_direction_each_are_mixed_evenly(objective: str) -> None:
    moments = [Moments.from_vectors(np.eye(5)[[number] * 3], model_id="m") for number in range(5)]
    found = best_mixture(moments, objective=objective)
    assert found.weights == pytest.approx(np.full(5, 0.2), abs=1e-4)
    assert found.score == pytest.approx(5)


def test_a_subset_contained_in_a_more_even_one_gets_no_weight() -> None:
    even = Moments.from_vectors(np.eye(4), model_id="m")
    narrow = Moments.from_vectors(np.eye(4)[[0, 0, 1]], model_id="m")
    assert best_mixture([narrow, even]).weights == pytest.approx([0, 1], abs=1e-4)


def test_the_score_of_weights_is_that_of_the_weighted_union() -> None:
    one, two = subset(1, count=30), subset(2, count=90)
    union = scores(one + two, centered=False)
    weights = np.array([0.25, 0.75])
    assert score_of([one, two], weights) == pytest.approx(union.effective_rank)
    assert score_of([one, two], weights, "participation_ratio") == pytest.approx(union.participation_ratio)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"objective": "score"},
            "unknown objective 'score' of a mixture: use one of effective_rank, vendi",
        ),
        ({"upper": np.array([0.3, 0.3])}, "no weights within the bounds sum to 1"),
        ({"lower": np.array([0.7, 0.7])}, "no weights within the bounds sum to 1"),
        (
            {"lower": np.array([0.5, 0]), "upper": np.array([0.4, 1])},
            "weight 0 has a lower bound of 0.5, above its upper bound 0.4",
        ),
        ({"upper": np.array([np.nan, 1])}, "must be between 0 and 1"),
    ],
)
def test_impossible_mixtures_are_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(VisdivError, match=message):
        best_mixture([subset(1), subset(2)], **arguments)  # type: ignore[arg-type]


def test_vectors_of_two_models_are_not_mixed() -> None:
    other = Moments.from_vectors(np.eye(6), model_id="other")
    with pytest.raises(VisdivError, match="subsets embedded by 'm' and 'other' cannot be mixed"):
        best_mixture([subset(1), other])
    with pytest.raises(VisdivError, match="at least one subset"):
        best_mixture([])


weights_and_bounds = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-5, 5), min_size=n, max_size=n),
        st.lists(st.floats(0, 1 / n), min_size=n, max_size=n),
        st.lists(st.floats(1 / n, 1), min_size=n, max_size=n),
    )
)


@settings(max_examples=200, deadline=None)
@given(weights_and_bounds, st.integers(0, 10**6))
def test_the_nearest_weights_are_feasible_and_none_is_nearer(
    given_weights: tuple[list[float], list[float], list[float]], seed: int
) -> None:
    point, lower, upper = (np.array(part) for part in given_weights)
    found = nearest_weights(point, lower, upper)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= lower).all()
    assert (found <= upper).all()
    # The nearest point of a convex set sees every other one at an obtuse angle.
    for gain in np.random.default_rng(seed).normal(size=(5, len(point))):
        other = best_weights(gain, lower, upper)
        assert (point - found) @ (other - found) <= 1e-7


@settings(max_examples=100, deadline=None)
@given(weights_and_bounds)
def test_weights_for_a_linear_gain_are_feasible_and_best(
    given_weights: tuple[list[float], list[float], list[float]],
) -> None:
    gain, lower, upper = (np.array(part) for part in given_weights)
    found = best_weights(gain, lower, upper)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= lower - 1e-12).all()
    assert (found <= upper + 1e-12).all()
    for point in np.random.default_rng(0).normal(size=(5, len(gain))):
        assert gain @ nearest_weights(point, lower, upper) <= gain @ found + 1e-7
