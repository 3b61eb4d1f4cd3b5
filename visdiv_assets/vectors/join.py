"""Exact joins: all pairs of unit vectors whose inner product reaches a threshold.

The pairs are looked at tile by tile, a self-join only above the diagonal, and what a tile finds is computed once more
in float64, pair by pair, so that a similarity depends on its two vectors alone and not on how the work was cut.
Two modes: every pair; or, with `k_best`, only pairs that are among the K best of one of their two vectors, in memory
that is linear in the vectors however many pairs there are, while neighbors are counted in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from visdiv_assets.devices import torch_device
from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.projection import choose_projection
from visdiv_assets.vectors.tiles import BFLOAT16_ROUNDOFF, Candidates, FullTiles, Projected, ProjectedTiles
from visdiv_assets.vectors.top_k import BestPartners

PAIR_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("similarity", pa.float32())])

#: Rows of a tile: two blocks and their product stay below 32 MB.
TILE = 2048
#: Rows and columns of a projected tile: its product, 4 MB in bfloat16, stays near the core that made it.
PROJECTED_TILE = (1024, 2048)
#: The same on a GPU.
DEVICE_TILE = (8192, 16384)
#: Pairs from which projecting pays, once torch is imported. Whether it is must not matter: the two ways may differ in
#: the last bit of what they compare, and engines in what their processes have imported.
PROJECTED_FROM = 50_000_000
#: The same where one of the two sets is projected already, which costs most.
PREPARED_FROM = 2_000_000
#: Vectors from which a set alone tells what to project on.
PREPARED_ROWS = 2048


@dataclass(frozen=True)
class Join:
    """What a join found.

    Attributes:
        pairs: table of left int64, right int64 (row numbers), similarity float32, sorted by left and right.
        left_counts: int64 [thresholds, left rows], how many partners each left row has at or above each threshold
            asked for.
        right_counts: the same of the right rows; in a self-join the same array.
    """

    pairs: pa.Table
    left_counts: np.ndarray
    right_counts: np.ndarray


def self_join(
    vectors: Matrix,
    threshold: float,
    *,
    k_best: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> pa.Table:
    """All pairs left < right of one set with similarity >= threshold.

    Args:
        vectors: unit vectors [n, d], any float dtype; read in blocks.
        threshold: smallest inner product of a pair.
        k_best: keep a pair only if it is among the K best of one of its two; None keeps every pair.
        device: "cpu", "cuda" or "cuda:N".
        progress: told of rows of the left set done.

    Returns:
        table of left, right, similarity (see `Join.pairs`).

    Raises:
        InputError: a vector is not finite, or two dimensions differ.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import self_join
        >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
        >>> self_join(vectors, threshold=0.95).to_pylist()
        [{'left': 0, 'right': 1, 'similarity': 1.0}]
    """
    return join(vectors, None, threshold, k_best=k_best, device=device, progress=progress).pairs


def cross_join(
    left: Matrix,
    right: Matrix,
    threshold: float,
    *,
    k_best: int | None = None,
    prepared: tuple[Prepared | None, Prepared | None] = (None, None),
    device: str = "cpu",
    progress: Progress = silent,
) -> pa.Table:
    """All pairs between two sets with similarity >= threshold; see `self_join`.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d].
        threshold: smallest inner product of a pair.
        k_best: as in `self_join`.
        prepared: of either of the two, with this threshold and device; it saves time and changes nothing else.
        device: as in `self_join`.
        progress: told of rows of the left set done.

    Raises:
        InputError: the dimensions differ, a vector is not finite, or two dimensions differ.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import cross_join
        >>> train = np.array([[1, 0], [0, 1]], np.float32)
        >>> benchmark = np.array([[0, 1]], np.float32)
        >>> cross_join(train, benchmark, threshold=0.95).to_pylist()
        [{'left': 1, 'right': 0, 'similarity': 1.0}]
    """
    return join(left, right, threshold, k_best=k_best, prepared=prepared, device=device, progress=progress).pairs


class Prepared:
    """A set for joins with several others, projected once, and not before one of them is large enough for that."""

    def __init__(self, vectors: Matrix, threshold: float, *, device: str) -> None:
        """Name what all joins have in common: unit vectors [n, d], the threshold, and the device."""
        self.rows = vectors.shape[0]
        self._vectors, self._threshold, self._device = vectors, threshold, device

    @cached_property
    def projected(self) -> Projected | None:
        """The projections; None if the set is too small to tell what to project on, or a projection does not pay.

        Raises:
            InputError: a vector is not finite.
        """
        if self.rows < PREPARED_ROWS:
            return None
        projection = choose_projection(self._vectors, self._vectors, self._threshold - 3.03 * BFLOAT16_ROUNDOFF)
        return None if projection is None else Projected.of(self._vectors, projection, self._device)


def join(
    left: Matrix,
    right: Matrix | None,
    threshold: float,
    *,
    k_best: int | None = None,
    count_at: Sequence[float] = (),
    prepared: tuple[Prepared | None, Prepared | None] = (None, None),
    device: str = "cpu",
    progress: Progress = silent,
) -> Join:
    """Join two sets, or one with itself (`right` None), and count neighbors in full.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d], or None for the pairs within `left`.
        threshold: smallest inner product of a pair.
        k_best: as in `self_join`.
        count_at: thresholds, none below `threshold`, at which every row's partners are counted, whatever `k_best`
            drops. A pair within 1e-6 of such a threshold may be counted on either side of it.
        prepared: as in `cross_join`.
        device: "cpu", "cuda" or "cuda:N".
        progress: told of rows of the left set done.

    Raises:
        InputError: see `self_join` and `cross_join`.
        ValueError: a threshold of `count_at` is below `threshold`.
    """
    if any(value < threshold for value in count_at):
        raise ValueError("count_at asks for a threshold below the join's")
    if device != "cpu":
        torch_device(device)
    within = right is None
    other = left if right is None else right
    if left.shape[1] != other.shape[1]:
        raise InputError(f"vectors of {left.shape[1]} and {other.shape[1]} dimensions cannot be joined")
    left_best = BestPartners(left.shape[0], k_best) if k_best else None
    right_best = left_best if within else BestPartners(other.shape[0], k_best) if k_best else None
    left_counts = np.zeros((len(count_at), left.shape[0]), np.int64)
    right_counts = left_counts if within else np.zeros((len(count_at), other.shape[0]), np.int64)
    found: list[np.ndarray] = []
    for tile in tiles_of(left, other, threshold, within=within, prepared=prepared, device=device):
        a, b, similarity = tile.left, tile.right, tile.similarity
        count_partners(left_counts, right_counts, tile, count_at)
        if left_best is None or right_best is None:
            found.append(np.stack([a, b]))
        elif len(a) and within:
            left_best.offer_both(a, b, similarity)
        elif len(a):
            left_best.offer(a, b, similarity)
            right_best.offer(b, a, similarity)
        progress(tile.rows_done)
    if left_best is not None and right_best is not None:
        found = [left_best.pairs()] if within else [left_best.pairs(), right_best.pairs()[::-1]]
    return Join(rescore(left, other, found, threshold, within=within), left_counts, right_counts)


def tiles_of(
    left: Matrix,
    right: Matrix,
    threshold: float,
    *,
    within: bool,
    prepared: tuple[Prepared | None, Prepared | None] = (None, None),
    device: str,
) -> FullTiles | ProjectedTiles:
    """The cheapest way to look at all pairs."""
    pairs = left.shape[0] * right.shape[0] // (2 if within else 1)
    if not pairs:
        return FullTiles(left, right, threshold, within=within, tile=TILE)
    # The larger of two sets tells better what to project on.
    larger = max((each for each in prepared if each), key=lambda each: each.rows, default=None)
    if larger and (device != "cpu" or pairs >= PREPARED_FROM) and (base := larger.projected):
        x, y = (
            base if each is larger else Projected.of(vectors, base.projection, device)
            for each, vectors in zip(prepared, (left, right), strict=True)
        )
        return _projected_tiles(left, right, threshold, (x, y), within=within, device=device)
    if device == "cpu" and pairs < PROJECTED_FROM:
        return FullTiles(left, right, threshold, within=within, tile=TILE)
    projected = projected_tiles(left, None if within else right, threshold, device=device)
    return projected or FullTiles(left, right, threshold, within=within, tile=TILE)


def projected_tiles(left: Matrix, right: Matrix | None, threshold: float, *, device: str) -> ProjectedTiles | None:
    """The tiles of a join, projected on as many directions as make it cheapest; None if the full product is cheaper.

    Arguments as `join`.
    """
    other = left if right is None else right
    projection = choose_projection(left, other, threshold - 3.03 * BFLOAT16_ROUNDOFF)
    if projection is None:
        return None
    x = Projected.of(left, projection, device)
    y = x if right is None else Projected.of(right, projection, device)
    return _projected_tiles(left, other, threshold, (x, y), within=right is None, device=device)


def _projected_tiles(
    left: Matrix, right: Matrix, threshold: float, projected: tuple[Projected, Projected], *, within: bool, device: str
) -> ProjectedTiles:
    tile = DEVICE_TILE if device != "cpu" else PROJECTED_TILE
    return ProjectedTiles(left, right, threshold, projected, within=within, device=device, tile=tile)


def count_partners(
    left_counts: np.ndarray, right_counts: np.ndarray, tile: Candidates, count_at: Sequence[float], first_row: int = 0
) -> None:
    """Add the pairs of a tile to the partners that each row has at each threshold.

    Args:
        left_counts: int64 [thresholds, rows], of rows from `first_row` on.
        right_counts: likewise; in a self-join the same array.
        tile: the pairs.
        count_at: the thresholds.
        first_row: the row that is counted first.
    """
    for number, value in enumerate(count_at):
        reached = tile.similarity >= np.float32(value)
        _count(left_counts[number], tile.left[reached] - first_row)
        _count(right_counts[number], tile.right[reached] - first_row)


def _count(counts: np.ndarray, rows: np.ndarray) -> None:
    """Add one for each occurrence of a row."""
    if len(rows):
        first = int(rows.min())
        found = np.bincount(rows - first)
        counts[first : first + len(found)] += found


def rescore(left: Matrix, right: Matrix, found: list[np.ndarray], threshold: float, *, within: bool) -> pa.Table:
    """The pairs that reach a threshold in float64, each once: table of `PAIR_SCHEMA` from arrays int64 [2, m]."""
    pairs = np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)
    if within:
        pairs = np.sort(pairs, axis=0)
    # Both partners of a pair may have named it.
    pairs = np.unique(pairs, axis=1)
    similarity = np.empty(pairs.shape[1], np.float32)
    for start in range(0, len(similarity), TILE):
        chosen = slice(start, start + TILE)
        x = left[pairs[0, chosen]].astype(np.float64)
        y = right[pairs[1, chosen]].astype(np.float64)
        similarity[chosen] = np.einsum("nd,nd->n", x, y)
    kept = similarity >= np.float32(threshold)
    return pa.table([pairs[0, kept], pairs[1, kept], similarity[kept]], schema=PAIR_SCHEMA)
