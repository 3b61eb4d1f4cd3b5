"""Joins find what the comparison of every two rows finds, whatever the tiles, layouts and memory."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import faiss
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.vectors import bounded_tiles, projection
from visdiv_assets.vectors.join import PAIR_SCHEMA, cross_join, join, self_join
from visdiv_assets_tests.testing.vectors import (
    DTYPES,
    LAYOUTS,
    Pair,
    check_pairs,
    exact_units,
    laid_out,
    random_units,
    sets_of_units,
    slow_best,
    slow_counts,
    slow_join,
    unit,
)

relaxed = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])

TILES = st.integers(1, 6)
THRESHOLDS = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.75, 1.0]))


SetTile = Callable[[int], None]


@pytest.fixture(autouse=True, params=["full", "projected"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with both kinds of tiles; small sets and low dimensions would otherwise not be projected."""
    if request.param == "projected":
        monkeypatch.setattr(bounded_tiles, "PROJECTED_FROM", 0)
        monkeypatch.setattr(projection, "CHOICES", (1, 3, 7, 31))
        monkeypatch.setattr(projection, "SAMPLE", 256)
    return str(request.param)


@pytest.fixture
def tile(monkeypatch: pytest.MonkeyPatch) -> SetTile:
    """Return a function that sets the rows of a tile; small tiles have many edges."""

    def set_tile(rows: int) -> None:
        monkeypatch.setattr(bounded_tiles, "TILE", rows)
        monkeypatch.setattr(bounded_tiles, "PROJECTED_TILE", (rows, rows))

    return set_tile


def listed(table: pa.Table) -> list[Pair]:
    assert table.schema == PAIR_SCHEMA
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def clear_pairs(vectors: np.ndarray, left: np.ndarray, right: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    """Return the pairs that rounding to float32 cannot bring under the threshold."""
    exact = np.einsum("nd,nd->n", vectors[left].astype(np.float64), vectors[right].astype(np.float64))
    clear = exact > threshold + 1e-5
    return set(zip(left[clear].tolist(), right[clear].tolist(), strict=True))


class TestEveryPair:
    @relaxed
    @given(st.data(), DTYPES, LAYOUTS, TILES, THRESHOLDS)
    def test_a_self_join_equals_the_comparison_of_every_two_rows(
        self, tile: SetTile, data: st.DataObject, dtype: type, layout: str, rows: int, threshold: float
    ) -> None:
        vectors: np.ndarray = data.draw(sets_of_units(data.draw(st.integers(1, 5)))).astype(dtype)
        tile(rows)
        check_pairs(listed(self_join(laid_out(vectors, layout), threshold)), vectors, None, threshold)

    @relaxed
    @given(st.data(), DTYPES, DTYPES, LAYOUTS, LAYOUTS, TILES, THRESHOLDS)
    def test_a_cross_join_equals_the_comparison_of_every_two_rows(
        self,
        tile: SetTile,
        data: st.DataObject,
        left_dtype: type,
        right_dtype: type,
        left_layout: str,
        right_layout: str,
        rows: int,
        threshold: float,
    ) -> None:
        dimension = data.draw(st.integers(1, 4))
        left: np.ndarray = data.draw(sets_of_units(dimension)).astype(left_dtype)
        right: np.ndarray = data.draw(sets_of_units(dimension)).astype(right_dtype)
        tile(rows)
        found = cross_join(laid_out(left, left_layout), laid_out(right, right_layout), threshold)
        check_pairs(listed(found), left, right, threshold)

    @relaxed
    @given(st.data(), DTYPES, TILES)
    def test_a_pair_exactly_at_the_threshold_counts(
        self, tile: SetTile, data: st.DataObject, dtype: type, rows: int
    ) -> None:
        vectors: np.ndarray = data.draw(sets_of_units(3)).astype(dtype)
        possible = [similarity for _, _, similarity in slow_join(vectors, None, 0.0)]
        threshold = data.draw(st.sampled_from([*possible, 1.0]))
        tile(rows)
        check_pairs(listed(self_join(vectors, threshold)), vectors, None, threshold)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_a_pair_of_512_dimensions_at_the_threshold_counts(self, dtype: type) -> None:
        rng = np.random.default_rng(0)
        one = np.abs(random_units(40, 512))
        vectors: np.ndarray = unit(one + 0.01 * rng.standard_normal(one.shape)).astype(dtype)
        exact = (vectors.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32)
        for row in (1, 20, 39):
            found = listed(self_join(vectors, float(exact[0, row])))
            assert (0, row) in [pair[:2] for pair in found]

    @pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 16, 17])
    def test_sets_of_any_size_around_the_edges_of_tiles(self, tile: SetTile, rows: int) -> None:
        vectors, others = random_units(rows, 3, seed=rows), random_units(9, 3, seed=100)
        tile(8)
        check_pairs(listed(self_join(vectors, 0.3)), vectors, None, 0.3)
        check_pairs(listed(cross_join(vectors, others, 0.3)), vectors, others, 0.3)
        check_pairs(listed(cross_join(others, vectors, 0.3)), others, vectors, 0.3)

    def test_the_result_does_not_depend_on_the_tiles(self, tile: SetTile) -> None:
        vectors, others = (random_units(rows, 64, seed=rows).astype(np.float16) for rows in (400, 300))
        vectors[50:60] = vectors[0]
        others[7] = vectors[390]
        results = []
        for rows in (1000, 257, 64, 17):
            tile(rows)
            results.append((self_join(vectors, 0.2), cross_join(vectors, others, 0.2)))
        assert results[0][0].num_rows > 1000
        assert all(one.equals(results[0][0]) and other.equals(results[0][1]) for one, other in results)

    def test_pairs_equal_those_of_faiss_away_from_the_threshold(self) -> None:
        rng = np.random.default_rng(0)
        centers = random_units(200, 128, seed=1)
        vectors = unit(centers[rng.integers(0, 200, 5000)] + 0.04 * rng.standard_normal((5000, 128))).astype(np.float32)
        index = faiss.IndexFlatIP(128)
        index.add(vectors)
        for threshold in (0.75, 0.85):
            limits, _, partner = index.range_search(vectors, threshold)
            row = np.repeat(np.arange(len(vectors)), np.diff(limits.astype(np.int64)))
            theirs = clear_pairs(vectors, row[row < partner], partner[row < partner], threshold)
            found = self_join(vectors, threshold)
            assert clear_pairs(vectors, found["left"].to_numpy(), found["right"].to_numpy(), threshold) == theirs
            assert len(theirs) > 10_000

    def test_pairs_are_sorted_and_each_is_listed_once(self, tile: SetTile) -> None:
        tile(16)
        found = [pair[:2] for pair in listed(self_join(random_units(100, 4), 0.1))]
        assert found == sorted(set(found))
        assert all(left < right for left, right in found)

    def test_a_similarity_is_right_to_the_last_bit_of_a_float32(self) -> None:
        vectors = random_units(40, 512).astype(np.float16)
        exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
        for left, right, similarity in listed(self_join(vectors, 0.0)):
            assert np.float32(similarity) == np.float32(exact[left, right])

    def test_swapping_the_sets_swaps_the_columns(self) -> None:
        left, right = random_units(50, 8, seed=1), random_units(30, 8, seed=2)
        found = listed(cross_join(left, right, 0.2))
        assert sorted((j, i, s) for i, j, s in found) == listed(cross_join(right, left, 0.2))

    def test_the_vectors_are_left_as_they_were(self) -> None:
        vectors = random_units(30, 8).astype(np.float16)
        before = vectors.copy()
        join(vectors, None, 0.1, k_best=2, count_at=[0.5])
        np.testing.assert_array_equal(vectors, before)
        vectors.flags.writeable = False
        self_join(vectors, 0.1)


@st.composite
def ladders(draw: st.DrawFn) -> tuple[float, list[float]]:
    """Draw a threshold and thresholds to count at, none of which equals a product of the exact vectors."""
    grid = [-0.1, 0.1, 0.3, 0.6, 0.8, 0.9]
    lowest = draw(st.integers(0, 5))
    return grid[lowest], draw(st.lists(st.sampled_from(grid[lowest:]), max_size=3))


class TestBest:
    @relaxed
    @given(exact_units(), TILES, st.integers(1, 5), st.sampled_from([-0.1, 0.0, 0.25, 0.5, 0.75, 1.0]), DTYPES, LAYOUTS)
    def test_a_self_join_keeps_exactly_the_best_of_either_row(
        self, tile: SetTile, vectors: np.ndarray, rows: int, k: int, threshold: float, dtype: type, layout: str
    ) -> None:
        tile(rows)
        found = self_join(laid_out(vectors.astype(dtype), layout), threshold, k_best=k)
        assert listed(found) == slow_best(slow_join(vectors, None, threshold), k, within=True)

    @relaxed
    @given(exact_units(), exact_units(), TILES, st.integers(1, 4), st.sampled_from([-0.1, 0.0, 0.25, 0.5, 1.0]))
    def test_a_cross_join_keeps_exactly_the_best_of_either_row(
        self, tile: SetTile, left: np.ndarray, right: np.ndarray, rows: int, k: int, threshold: float
    ) -> None:
        tile(rows)
        found = cross_join(left, right, threshold, k_best=k)
        assert listed(found) == slow_best(slow_join(left, right, threshold), k, within=False)

    def test_of_equal_partners_those_of_lowest_rows_are_kept(self) -> None:
        equal = np.tile(np.eye(1, 4, dtype=np.float16), (12, 1))
        best_of = {row: [other for other in range(12) if other != row][:3] for row in range(12)}
        expected = sorted({(min(row, other), max(row, other)) for row in best_of for other in best_of[row]})
        assert [pair[:2] for pair in listed(self_join(equal, 0.9, k_best=3))] == expected

    @pytest.mark.parametrize("within", [True, False])
    @pytest.mark.parametrize("k", [1, 3, 10])
    def test_random_vectors_keep_their_best_up_to_rounding(self, tile: SetTile, within: bool, k: int) -> None:
        left = random_units(300, 16, seed=1)
        right = None if within else random_units(200, 16, seed=2)
        other = left if right is None else right
        exact = left.astype(np.float64) @ other.astype(np.float64).T
        if within:
            np.fill_diagonal(exact, -np.inf)
        exact[exact < 0.2] = -np.inf
        by_left, by_right = np.sort(exact, axis=1), np.sort(exact, axis=0)
        last = np.minimum(by_left[:, -k][:, None], by_right[-k, :][None, :])
        next_one = np.minimum(by_left[:, -k - 1][:, None], by_right[-k - 1, :][None, :])
        must, may = exact > next_one + 2e-6, np.isfinite(exact) & (exact >= last - 2e-6)
        tile(64)
        kept = np.zeros(exact.shape, bool)
        for i, j, _ in listed(join(left, right, 0.2, k_best=k).pairs):
            kept[i, j] = True
            if within:
                kept[j, i] = True
        assert (kept | ~must).all()
        assert (may | ~kept).all()
        assert 200 < must.sum() < np.isfinite(exact).sum()

    def test_a_k_that_no_row_reaches_drops_nothing(self, tile: SetTile) -> None:
        vectors, others = random_units(60, 4, seed=1), random_units(50, 4, seed=2)
        tile(16)
        assert self_join(vectors, 0.1, k_best=59).equals(self_join(vectors, 0.1))
        assert cross_join(vectors, others, 0.1, k_best=60).equals(cross_join(vectors, others, 0.1))

    @relaxed
    @given(exact_units(), st.none() | exact_units(), TILES, st.none() | st.integers(1, 3), ladders())
    def test_neighbors_are_counted_in_full_whatever_is_kept(
        self,
        tile: SetTile,
        left: np.ndarray,
        right: np.ndarray | None,
        rows: int,
        k: int | None,
        ladder: tuple[float, list[float]],
    ) -> None:
        threshold, count_at = ladder
        tile(rows)
        found = join(left, right, threshold, k_best=k, count_at=count_at)
        of_left, of_right = slow_counts(left, right, count_at)
        np.testing.assert_array_equal(found.left_counts, of_left, strict=True)
        np.testing.assert_array_equal(found.right_counts, of_right, strict=True)

    @pytest.mark.parametrize("k", [None, 2])
    def test_counts_of_random_vectors_are_right_up_to_rounding(self, tile: SetTile, k: int | None) -> None:
        left, right = random_units(300, 16, seed=1), random_units(200, 16, seed=2)
        tile(64)
        exact = left.astype(np.float64) @ right.astype(np.float64).T
        thresholds = [0.2, 0.5, 0.8]
        found = join(left, right, 0.2, k_best=k, count_at=thresholds)
        for number, threshold in enumerate(thresholds):
            for counted, axis in ((found.left_counts[number], 1), (found.right_counts[number], 0)):
                assert ((exact >= threshold + 2e-6).sum(axis) <= counted).all()
                assert (counted <= (exact >= threshold - 2e-6).sum(axis)).all()

    def test_a_clique_costs_memory_and_pairs_linear_in_its_members(self, tile: SetTile) -> None:
        rows = 3000
        one = random_units(1, 32).astype(np.float16)
        tile(256)
        self_join(random_units(8, 4), 0.9)  # imports do not count
        tracemalloc.start()
        found = join(np.repeat(one, rows, axis=0), None, 0.75, k_best=8, count_at=[0.75, 0.95])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows - 1 <= found.pairs.num_rows <= rows * 8
        assert (found.left_counts == rows - 1).all()
        # All pairs would take 72 MB.
        assert peak < 20e6

    def test_two_cliques_cost_memory_linear_in_their_members(self, tile: SetTile) -> None:
        one = random_units(1, 32).astype(np.float16)
        tile(256)
        self_join(random_units(8, 4), 0.9)  # imports do not count
        tracemalloc.start()
        left, right = np.repeat(one, 3000, axis=0), np.repeat(one, 2000, axis=0)
        found = join(left, right, 0.75, k_best=8, count_at=[0.75])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 3000 <= found.pairs.num_rows <= 5000 * 8
        assert (found.left_counts == 2000).all()
        assert (found.right_counts == 3000).all()
        assert peak < 20e6


class TestRefusals:
    @pytest.mark.parametrize("value", [np.nan, -np.inf])
    @pytest.mark.parametrize("row", [0, 8, 19])
    @pytest.mark.parametrize("stacked", [False, True])
    def test_a_vector_that_is_not_finite_is_named_by_its_row(
        self, tile: SetTile, value: float, row: int, stacked: bool
    ) -> None:
        vectors = random_units(20, 4).astype(np.float16)
        vectors[row, 2] = value
        tile(8)
        given_vectors = StackedArray(np.array_split(vectors, 3)) if stacked else vectors
        calls: list[Callable[[], object]] = [
            lambda: self_join(given_vectors, 0.9),
            lambda: self_join(given_vectors, 0.9, k_best=1),
            lambda: cross_join(given_vectors, random_units(3, 4), 0.9),
            lambda: cross_join(random_units(3, 4), given_vectors, 0.9),
        ]
        for call in calls:
            with pytest.raises(VisdivError, match=f"vector {row} is not finite"):
                call()

    def test_vectors_of_other_dimensions_are_refused_with_both(self) -> None:
        with pytest.raises(VisdivError, match="vectors of 4 and 5 dimensions cannot be joined"):
            cross_join(random_units(3, 4), random_units(3, 5), 0.9)

    @pytest.mark.parametrize("device", ["cuda", "cuda:1", "auto"])
    def test_a_device_that_is_not_supported_is_refused(self, device: str) -> None:
        with pytest.raises(VisdivError, match=device):
            self_join(random_units(3, 4), 0.9, device=device)

    def test_counting_below_the_threshold_is_refused(self) -> None:
        with pytest.raises(ValueError, match="count_at"):
            join(random_units(3, 4), None, 0.9, count_at=[0.95, 0.8])


class TestProgress:
    @pytest.mark.parametrize("rows", [0, 1, 8, 30])
    @pytest.mark.parametrize("others", [None, 0, 17])
    def test_progress_counts_every_row(self, tile: SetTile, rows: int, others: int | None) -> None:
        tile(8)
        counted: list[int] = []
        right = None if others is None else random_units(others, 4)
        join(random_units(rows, 4), right, 0.9, progress=counted.append)
        assert sum(counted) == (0 if others == 0 else rows)


def test_the_join_loads_neither_faiss_nor_torch() -> None:
    code = "import sys, visdiv_assets.vectors.join; print({'faiss', 'torch', 'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
