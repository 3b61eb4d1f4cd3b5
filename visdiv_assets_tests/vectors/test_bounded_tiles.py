"""Tiles find what the full float64 product finds, whatever the kind of tiles, and whatever is kept of projections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.vectors import bounded_tiles as module
from visdiv_assets.vectors import projected, projected_tiles, projection
from visdiv_assets.vectors.bounded_tiles import bounded_tiles
from visdiv_assets.vectors.pair_similarity import MARGIN
from visdiv_assets.vectors.projected_tiles import ProjectedTiles
from visdiv_assets.vectors.row_bounds import Runs
from visdiv_assets.vectors.tiles import Candidates, FullTiles, round_products

relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["full", "projected", "projected again", "whole"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with each kind of tiles, small enough that there are several."""
    monkeypatch.setattr(module, "TILE", 16)
    monkeypatch.setattr(module, "PROJECTED_TILE", (24, 16))
    for room in (projected, projected_tiles):
        monkeypatch.setattr(room, "CHUNK", 64)
        monkeypatch.setattr(room, "BLOCK_CHUNKS", 1)
    monkeypatch.setattr(projected_tiles, "STRIP", 2)
    monkeypatch.setattr(projection, "CHOICES", () if request.param == "whole" else (5,))
    monkeypatch.setattr(module, "PROJECTED_FROM", 1 << 60 if request.param == "full" else 0)
    monkeypatch.setattr(projected, "MAX_KEPT_BYTES", 0 if request.param == "projected again" else 1 << 30)
    return str(request.param)


def draw_unit(random: np.random.Generator, rows: int, dimension: int = 16) -> np.ndarray:
    vectors = random.standard_normal((rows, dimension)) + 0.5
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def pairs_of(tiles: list[Candidates]) -> set[tuple[int, int]]:
    found = [(int(a), int(b)) for tile in tiles for a, b in zip(tile.left, tile.right, strict=True)]
    assert len(set(found)) == len(found)
    return set(found)


def expected(left: np.ndarray, right: np.ndarray | None, bounds: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The difference of each pair's similarity and the lower of its bounds, float64 [n, m]."""
    other = left if right is None else right
    above: np.ndarray = left.astype(np.float64) @ other.T.astype(np.float64)
    above -= np.minimum(bounds[0][:, None], bounds[1][None])
    if right is None:
        above[np.tril_indices(len(left))] = -np.inf
    return above


@relaxed
@given(st.integers(0, 2**32 - 1), st.integers(2, 150), st.integers(0, 150), st.sampled_from([-0.5, 0.0, 0.5, 0.9]))
def test_tiles_find_every_pair_that_reaches_a_bound(engine: str, seed: int, n: int, m: int, lowest: float) -> None:
    random = np.random.default_rng(seed)
    left, right = draw_unit(random, n), draw_unit(random, m) if m else None
    bounds = random.uniform(lowest, 1, n).astype(np.float32)
    others = bounds if right is None else random.uniform(lowest, 1, m).astype(np.float32)
    tiles = bounded_tiles(left, right, (bounds, others), device="cpu")
    assert isinstance(tiles, FullTiles if engine == "full" else ProjectedTiles)
    found = list(tiles.between(0, n))
    above = expected(left, right, (bounds, others))
    assert pairs_of(found) >= set(zip(*map(np.ndarray.tolist, np.nonzero(above >= 1e-6)), strict=True))
    assert pairs_of(found) <= set(zip(*map(np.ndarray.tolist, np.nonzero(above >= -MARGIN - 1e-6)), strict=True))
    assert sum(tile.rows_done for tile in found) == n


def test_blocks_of_rows_give_the_pairs_of_the_whole(engine: str) -> None:
    vectors = draw_unit(np.random.default_rng(1), 200)
    bounds = np.full(200, 0.7, np.float32)
    tiles = bounded_tiles(vectors, None, (bounds, bounds), device="cpu")
    whole = pairs_of(list(tiles.between(0, 200)))
    parts = [list(tiles.between(start, min(start + 37, 200))) for start in range(0, 200, 37)]
    assert set.union(*map(pairs_of, parts)) == whole != set()
    assert sum(len(pairs_of(part)) for part in parts) == len(whole)
    assert [sum(tile.rows_done for tile in part) for part in parts] == [37] * 5 + [15]


def test_pairs_under_a_raised_bound_are_not_yielded(engine: str) -> None:
    vectors = draw_unit(np.random.default_rng(2), 400)
    bounds = np.full(400, 0.3, np.float32)
    tiles = bounded_tiles(vectors, None, (bounds, bounds), device="cpu").between(0, 400)
    next(tiles)
    bounds[:] = 2
    assert sum(len(tile.left) for tile in tiles) < 10_000
    assert len(pairs_of(list(bounded_tiles(vectors, None, (bounds - 1.7,) * 2, device="cpu").between(0, 400)))) > 20_000


def test_other_bounds_leave_the_tiles_as_they_were(engine: str) -> None:
    vectors = draw_unit(np.random.default_rng(5), 100)
    low, high = (np.full(100, value, np.float32) for value in (0.5, 0.8))
    tiles = bounded_tiles(vectors, None, (low, low), device="cpu")
    few = pairs_of(list(tiles.with_bounds((high, high)).between(0, 100)))
    every = pairs_of(list(tiles.between(0, 100)))
    assert few == pairs_of(list(bounded_tiles(vectors, None, (high, high), device="cpu").between(0, 100)))
    assert set() != few < every


@pytest.mark.parametrize("lowest", [0.1, 0.9], ids=["many", "few"])
def test_similarities_do_not_depend_on_the_tiles(engine: str, lowest: float) -> None:
    vectors = draw_unit(np.random.default_rng(3), 150, 64).astype(np.float16)
    vectors[100:] = vectors[50:100]
    bounds = np.full(150, lowest, np.float32)
    exact = round_products((vectors.astype(np.float64) @ vectors.astype(np.float64).T).astype(np.float32))
    found = 0
    for tile in bounded_tiles(vectors, None, (bounds, bounds), device="cpu").between(0, 150):
        assert tile.similarity.tolist() == exact[tile.left, tile.right].tolist()
        found += len(tile.left)
    assert found >= 50


def test_pairs_of_one_group_are_left_out(engine: str) -> None:
    vectors = draw_unit(np.random.default_rng(4), 160)
    bounds = np.full(160, 0.5, np.float32)
    groups = np.repeat([0, 1, 2, 0], [90, 20, 10, 40])
    every = pairs_of(list(bounded_tiles(vectors, None, (bounds, bounds), device="cpu").between(0, 160)))
    across = list(bounded_tiles(vectors, None, (bounds, bounds), groups=(groups, groups), device="cpu").between(0, 160))
    assert pairs_of(across) == {(a, b) for a, b in every if groups[a] != groups[b]}
    assert sum(tile.rows_done for tile in across) == 160


def test_a_run_is_rows_of_one_group() -> None:
    runs = Runs(np.array([7, 7, 3, 3, 3, 7]))
    assert [runs.group(*rows) for rows in ((0, 2), (2, 5), (3, 4), (5, 6))] == [7, 3, 3, 7]
    assert [runs.group(*rows) for rows in ((0, 3), (1, 6), (4, 6))] == [None] * 3
