"""A self-join in blocks equals the whole join, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from visdiv_assets.vectors import join_blocks as module
from visdiv_assets.vectors import projection
from visdiv_assets.vectors.join import join
from visdiv_assets.vectors.join_blocks import Part, compute_part, merge_parts, split_into_blocks
from visdiv_assets.vectors.projected_tiles import Projected, ProjectedTiles
from visdiv_assets.vectors.tiles import FullTiles
from visdiv_assets_tests.testing.vectors import random_units, unit

ROWS, THRESHOLD, COUNT_AT, K = 157, 0.3, [0.4, 0.9], 3


def alike(rows: int = ROWS) -> np.ndarray:
    """Return random vectors in three groups, some equal: many more pairs than are kept, and ties."""
    random = np.random.default_rng(0)
    groups = random_units(3, 64)[random.integers(0, 3, rows)]
    vectors = unit(groups + 0.7 * random_units(rows, 64, seed=1)).astype(np.float16)
    vectors[random.integers(0, rows, rows // 3)] = vectors[0]
    return vectors


def tiles(vectors: np.ndarray, kind: str) -> FullTiles | ProjectedTiles:
    if kind == "full":
        return FullTiles(vectors, vectors, THRESHOLD, within=True, tile=8)
    found = Projected.of(vectors, projection.Projection(np.eye(64, 31, dtype=np.float32)), "cpu")
    return ProjectedTiles(vectors, vectors, THRESHOLD, (found, found), within=True, device="cpu", tile=(8, 16))


@pytest.mark.parametrize("kind", ["full", "projected"])
@pytest.mark.parametrize("waiting", [0, 10**9], ids=["dropped at once", "dropped at the end"])
def test_the_merged_blocks_equal_the_whole_join(kind: str, waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_BLOCK", 16)
    monkeypatch.setattr(module, "PAIRS_OF_A_BLOCK", 3000)
    monkeypatch.setattr(module, "MAX_WAITING_ENTRIES", waiting)
    vectors = alike()
    blocks = split_into_blocks(ROWS)
    assert len(blocks) > 3
    done: list[int] = []
    of_subset = tiles(vectors, kind)

    def part(block: tuple[int, int]) -> Part:
        return compute_part(of_subset, block, ROWS, k_best=K, count_at=COUNT_AT, progress=done.append)

    found = merge_parts(vectors, map(part, blocks), THRESHOLD, k_best=K, thresholds=len(COUNT_AT))
    expected = join(vectors, None, THRESHOLD, k_best=K, count_at=COUNT_AT)
    assert expected.pairs.num_rows > ROWS
    assert expected.left_counts.max() > K
    assert found.pairs.equals(expected.pairs)
    np.testing.assert_array_equal(found.left_counts, expected.left_counts)
    assert sum(done) == ROWS


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 157])
def test_blocks_cover_all_rows_and_begin_where_tiles_do(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_OF_A_BLOCK", 16)
    monkeypatch.setattr(module, "PAIRS_OF_A_BLOCK", 1000)
    blocks = split_into_blocks(rows)
    assert [row for start, stop in blocks for row in range(start, stop)] == list(range(rows))
    assert all(start % 16 == 0 for start, _ in blocks)


def test_a_set_that_takes_a_minute_is_one_block() -> None:
    assert split_into_blocks(92_682) == [(0, 92_682)]
    assert len(split_into_blocks(92_683)) == 2
    assert len(split_into_blocks(1_000_000)) > 50
