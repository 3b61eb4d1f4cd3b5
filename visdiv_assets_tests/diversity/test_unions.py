"""Leaving subsets out, adding them in a good order, and cutting them to equal size."""

from __future__ import annotations

import math

import numpy as np
import pytest

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.rarefaction import rarefy
from visdiv_assets.diversity.scores import scores, too_few
from visdiv_assets.diversity.unions import greedy_order, leave_one_out, union
from visdiv_assets.errors import VisdivError


def vectors(seed: int, count: int = 30, dimension: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, dimension)) * random.uniform(0.1, 1, dimension)
    units: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return units


def three() -> dict[str, Moments]:
    return {f"s{seed}": Moments.from_vectors(vectors(seed, 10 * seed + 5), model_id="m") for seed in range(3)}


def test_leave_one_out_equals_the_union_of_the_others() -> None:
    for name, found in leave_one_out(three()).items():
        others = np.concatenate([vectors(seed, 10 * seed + 5) for seed in range(3) if f"s{seed}" != name])
        expected = Moments.from_vectors(others, model_id="m")
        assert found.n == expected.n
        assert np.allclose(found.second_moment, expected.second_moment, atol=1e-12)
        assert np.allclose(found.sum_x, expected.sum_x, atol=1e-12)


def test_one_subset_leaves_nothing() -> None:
    (found,) = leave_one_out({"only": three()["s1"]}).values()
    assert found.n == 0
    assert leave_one_out({}) == {}


def test_leaving_out_a_tiny_subset_keeps_its_effect() -> None:
    large = Moments(10**9, np.zeros(2), np.diag([10**9, 0.0]), "m")
    tiny = Moments.from_vectors(np.array([[0.0, 1.0]]), model_id="m")
    found = leave_one_out({"large": large, "tiny": tiny})
    assert found["large"].second_moment[1, 1] == 1.0
    assert found["tiny"].second_moment[1, 1] == 0.0


def test_the_entropy_of_a_union_is_within_its_bounds() -> None:
    parts = three()
    whole = union(parts)
    weights = np.array([part.n / whole.n for part in parts.values()])
    logarithms = np.array([math.log(scores(part, centered=False).effective_rank or 1) for part in parts.values()])
    found = math.log(scores(whole, centered=False).effective_rank or 1)
    assert weights @ logarithms <= found + 1e-12
    assert found <= weights @ logarithms - weights @ np.log(weights) + 1e-12


def test_the_greedy_order_is_that_of_trying_every_next_subset() -> None:
    moments = {f"s{seed}": Moments.from_vectors(vectors(seed, 5 + 7 * (seed % 4)), model_id="m") for seed in range(8)}
    expected: list[str] = []
    while len(expected) < len(moments):

        def ratio(name: str) -> float:
            chosen = {key: moments[key] for key in [*expected, name]}
            return scores(union(chosen), centered=False).participation_ratio or 0.0

        expected.append(max((name for name in sorted(moments) if name not in expected), key=ratio))
    assert greedy_order(moments) == expected
    assert greedy_order({}) == []


def test_two_models_are_refused() -> None:
    other = Moments.from_vectors(vectors(1), model_id="other")
    with pytest.raises(VisdivError, match="models 'm' and 'other'"):
        greedy_order({**three(), "other": other})
    with pytest.raises(VisdivError, match="at least one subset"):
        union({})


def test_a_sample_scores_lower_than_the_set_it_is_drawn_from() -> None:
    large = vectors(3, 3_000, 40)
    whole = scores(Moments.from_vectors(large))
    found = rarefy(large, 100)
    for name in ("effective_rank", "participation_ratio", "score"):
        assert found[name].images == 100
        assert found[name].low <= found[name].mean <= found[name].high
        assert found[name].high < getattr(whole, name)


def test_sets_of_one_distribution_agree_at_equal_sample_size() -> None:
    large, small = vectors(3, 4_000, 20), vectors(3, 4_000, 20)[:300]
    assert rarefy(large, 256)["effective_rank"].mean == pytest.approx(
        rarefy(small, 256)["effective_rank"].mean, rel=0.02
    )


def test_a_set_of_the_sample_size_is_drawn_once() -> None:
    exact = rarefy(vectors(1, 64), 64)["score"]
    assert exact.draws == 1
    assert exact.low == exact.mean == exact.high
    assert exact.mean == pytest.approx(scores(Moments.from_vectors(vectors(1, 64))).score)
    assert rarefy(vectors(1, 63), 64) == {}
    assert rarefy(vectors(1, 1), 1) == {}


def test_the_draws_depend_only_on_the_seed() -> None:
    large = vectors(3, 500, 8)
    assert rarefy(large, 100) == rarefy(large, 100)
    assert rarefy(large, 100, seed=1) != rarefy(large, 100)


def test_fewer_than_two_images_per_dimension_are_too_few() -> None:
    assert too_few(1_023, 512)
    assert not too_few(1_024, 512)
