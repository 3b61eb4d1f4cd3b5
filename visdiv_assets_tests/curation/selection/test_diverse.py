"""Diverse picks against all distances, recomputed for every pick."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.curation.selection import diverse as module
from visdiv_assets.curation.selection import select_diverse_samples
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.testing.vectors import LAYOUTS, exact_units, laid_out, random_units, unit

METHODS = ("k_center", "k_means_plus_plus")


def farthest_first(vectors: np.ndarray, first: int, k: int) -> list[int]:
    """The row farthest from its nearest pick, of equals the lowest."""
    x = vectors.astype(np.float64)
    picked = [first]
    while len(picked) < k:
        distance = {
            row: min(float(((x[row] - x[pick]) ** 2).sum()) for pick in picked)
            for row in range(len(x))
            if row not in picked
        }
        picked.append(max(distance, key=lambda row: (distance[row], -row)))
    return picked


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    vectors=exact_units().filter(len),
    pool=st.integers(1, 16),
    block=st.integers(1, 5),
    seed=st.integers(0, 5),
    layout=LAYOUTS,
    data=st.data(),
)
def test_k_center_picks_the_farthest_row_and_the_lowest_of_ties(
    monkeypatch: pytest.MonkeyPatch,
    vectors: np.ndarray,
    pool: int,
    block: int,
    seed: int,
    layout: str,
    data: st.DataObject,
) -> None:
    monkeypatch.setattr(module, "POOL", pool)
    monkeypatch.setattr(module, "BLOCK", block)
    k = data.draw(st.integers(1, len(vectors)))
    found = select_diverse_samples(laid_out(vectors.astype(np.float16), layout), k, seed=seed).tolist()
    assert found == farthest_first(vectors, found[0], k)


@pytest.mark.parametrize("pool", [5, 60, 100_000])
def test_refilling_the_pool_of_k_center_changes_no_pick(monkeypatch: pytest.MonkeyPatch, pool: int) -> None:
    monkeypatch.setattr(module, "POOL", pool)
    random = np.random.default_rng(0)
    vectors = unit(random.standard_normal((30, 12))[random.integers(30, size=300)] + random.standard_normal((300, 12)))
    found = select_diverse_samples(vectors, 40).tolist()
    assert found == farthest_first(vectors, found[0], 40)


@pytest.mark.parametrize("seed", range(8))
def test_k_center_takes_ties_in_row_order_despite_the_pool(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(module, "POOL", 3)
    first, *others = select_diverse_samples(np.eye(12), 12, seed=seed).tolist()
    assert others == [row for row in range(12) if row != first]


def seeding_probabilities(vectors: np.ndarray, k: int) -> dict[tuple[int, ...], float]:
    """Probability of every sequence of k picks of k-means++."""
    squares = ((vectors[:, np.newaxis] - vectors) ** 2).sum(axis=2)
    chances = {}
    for picks in itertools.permutations(range(len(vectors)), k):
        chance = 1 / len(vectors)
        for place in range(1, k):
            nearest = squares[list(picks[:place])].min(axis=0)
            chance *= nearest[picks[place]] / nearest.sum()
        chances[picks] = chance
    return chances


def test_k_means_plus_plus_draws_by_squared_distance() -> None:
    vectors = unit(random_units(5, 3) + 0.4)
    chances = seeding_probabilities(vectors, 4)
    draws = 3000
    seen = Counter(
        tuple(select_diverse_samples(vectors, 4, "k_means_plus_plus", seed).tolist()) for seed in range(draws)
    )
    assert sum(chances.values()) == pytest.approx(1)
    # The fourth pick is the first that is drawn by weights known to be too large.
    for place, row in itertools.product(range(4), range(5)):
        chance = sum(value for picks, value in chances.items() if picks[place] == row)
        share = sum(count for picks, count in seen.items() if picks[place] == row) / draws
        assert abs(share - chance) < 4.5 * np.sqrt(chance * (1 - chance) / draws) + 1e-9, (place, row)


def test_k_means_plus_plus_covers_groups_a_plain_draw_misses() -> None:
    random = np.random.default_rng(0)
    group = np.repeat([0, 1, 2, 3], [2970, 10, 10, 10])
    vectors = np.eye(4)[group] + 0.001 * random.standard_normal((3000, 4))
    hit = [set(group[select_diverse_samples(vectors, 4, "k_means_plus_plus", seed)]) for seed in range(20)]
    assert sum(len(groups) for groups in hit) / 20 > 3.8


@pytest.mark.parametrize("method", METHODS)
class TestBoth:
    def test_all_rows_are_put_in_order_if_k_is_not_smaller(self, method: Any) -> None:
        vectors = random_units(40, 5)
        for k in (40, 41, 10_000):
            assert sorted(select_diverse_samples(vectors, k, method).tolist()) == list(range(40))

    def test_identical_rows_are_each_picked_once(self, method: Any) -> None:
        vectors = np.repeat(random_units(1, 16).astype(np.float16), 30, axis=0)
        found = select_diverse_samples(vectors, 20, method)
        assert found.dtype == np.int64
        assert len(set(found.tolist())) == 20

    def test_repeated_rows_come_last(self, method: Any) -> None:
        different = random_units(6, 8)
        found = select_diverse_samples(np.tile(different, (5, 1)), 6, method)
        assert sorted(found % 6) == [0, 1, 2, 3, 4, 5]

    def test_the_seed_decides(self, method: Any) -> None:
        vectors = random_units(500, 6)
        first, again, other = (select_diverse_samples(vectors, 12, method, seed) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert first.tolist() != other.tolist()

    def test_no_pick_is_no_row(self, method: Any) -> None:
        assert select_diverse_samples(random_units(4, 3), 0, method).shape == (0,)

    def test_lists_of_numbers_are_embeddings_too(self, method: Any) -> None:
        assert sorted(select_diverse_samples([[1.0, 0.0], [0.0, 1.0]], 2, method).tolist()) == [0, 1]


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(VisdivError, match="cannot pick -1 rows"):
        select_diverse_samples(random_units(4, 3), -1)
    with pytest.raises(VisdivError, match="use k_center or k_means_plus_plus"):
        select_diverse_samples(random_units(4, 3), 2, "random")  # type: ignore[arg-type]
    with pytest.raises(VisdivError, match=r"an array \[n, d\] of floats"):
        select_diverse_samples(np.zeros(5), 2)
