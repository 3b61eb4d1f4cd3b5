"""Exact joins: find all pairs of unit vectors whose inner product reaches a threshold.

A join compares tile by tile, a self-join only above the diagonal. It computes the pairs that a tile finds again in
float64, so that a similarity depends only on its two vectors and not on how the work was cut.

There are two modes: every pair; or, with `k_best`, only pairs among the K best of one of their two vectors. The second
needs memory linear in the number of vectors, whatever the number of pairs, and still counts all neighbors.

torch is optional: without it, NumPy multiplies all pairs in full on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from visdiv_assets.devices import torch_device
from visdiv_assets.errors import InputError
from visdiv_assets.extras import is_installed
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import inner_products
from visdiv_assets.vectors.projected_tiles import BFLOAT16_ROUNDOFF, Projected, ProjectedTiles
from visdiv_assets.vectors.projection import choose_projection
from visdiv_assets.vectors.tiles import Candidates, FullTiles
from visdiv_assets.vectors.top_k import BestPartners

PAIR_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("similarity", pa.float32())])

#: Rows of a tile: two blocks and their product take less than 32 MB.
TILE = 2048
#: Rows and columns of a projected tile: its product, 4 MB in bfloat16, fits the cache of the core that computes it.
PROJECTED_TILE = (1024, 2048)
#: Rows and columns of a projected tile on a GPU.
DEVICE_TILE = (8192, 16384)
#: Minimum number of pairs for which projecting pays, once torch is imported. The choice must not depend on whether
#: torch is imported yet: the two methods may differ in the last bit of the products that they compare, and engines
#: differ in what their processes have imported.
PROJECTED_FROM = 50_000_000
#: The same if one of the two sets is already projected, which is most of the cost.
PREPARED_FROM = 2_000_000
#: Minimum number of vectors for fitting a projection to one set only.
PREPARED_ROWS = 2048


@dataclass(frozen=True)
class Join:
    """The result of a join.

    Attributes:
        pairs: table of left int64, right int64 (row indices) and similarity float32, sorted by left and right.
        left_counts: int64 [thresholds, left rows], the number of partners of each left row at or above each threshold
            of `count_at`.
        right_counts: the same for the right rows; in a self-join the same array.
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
    """Find all pairs left < right of one set with similarity >= threshold.

    Args:
        vectors: unit vectors [n, d], any float dtype; read in blocks.
        threshold: smallest inner product of a pair.
        k_best: keep a pair only if it is among the K best of one of its two vectors; None keeps every pair.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of rows finished.

    Returns:
        table of left, right, similarity (see `Join.pairs`).

    Raises:
        InputError: a vector is not finite.
        ConfigError: the device is not the CPU, and torch is not installed.
        ModelError: the device cannot be used.

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
    """Find all pairs between two sets with similarity >= threshold; see `self_join`.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d].
        threshold: smallest inner product of a pair.
        k_best: as in `self_join`.
        prepared: one or both sets, prepared for this threshold and device. It saves time and does not change the
            result.
        device: as in `self_join`.
        progress: called with the number of left rows finished.

    Raises:
        InputError: the dimensions differ, or a vector is not finite.
        ConfigError: as `self_join`.
        ModelError: as `self_join`.

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
    """A set for joins with several others. It is projected once, as soon as a join is large enough."""

    def __init__(self, vectors: Matrix, threshold: float, *, device: str) -> None:
        """Set what all joins share: unit vectors [n, d], the threshold and the device."""
        self.rows = vectors.shape[0]
        self._vectors, self._threshold, self._device = vectors, threshold, device

    @cached_property
    def projected(self) -> Projected | None:
        """The projections; None if the set is too small to fit one, if none pays, or if torch is not installed.

        Raises:
            InputError: a vector is not finite.
        """
        if self.rows < PREPARED_ROWS or not is_installed("torch"):
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
    """Join two sets, or one with itself (`right` None), and count all neighbors.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d], or None for the pairs within `left`.
        threshold: smallest inner product of a pair.
        k_best: as in `self_join`.
        count_at: thresholds, each at least `threshold`, at which the partners of every row are counted, including
            those that `k_best` drops. A pair within 1e-6 of such a threshold may be counted on either side of it.
        prepared: as in `cross_join`.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of left rows finished.

    Raises:
        InputError: as `cross_join`.
        ConfigError: as `self_join`.
        ModelError: as `self_join`.
        ValueError: a threshold of `count_at` is less than `threshold`.
    """
    if any(value < threshold for value in count_at):
        raise ValueError(f"count_at holds a threshold less than the join's threshold {threshold}")
    within = right is None
    other = left if right is None else right
    if left.shape[1] != other.shape[1]:
        raise InputError(f"vectors of {left.shape[1]} and {other.shape[1]} dimensions cannot be joined")
    left_best = BestPartners(left.shape[0], k_best) if k_best else None
    right_best = left_best if within else BestPartners(other.shape[0], k_best) if k_best else None
    left_counts = np.zeros((len(count_at), left.shape[0]), np.int64)
    right_counts = left_counts if within else np.zeros((len(count_at), other.shape[0]), np.int64)
    found: list[np.ndarray] = []
    for tile in choose_tiles(left, other, threshold, within=within, prepared=prepared, device=device):
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


def choose_tiles(
    left: Matrix,
    right: Matrix,
    threshold: float,
    *,
    within: bool,
    prepared: tuple[Prepared | None, Prepared | None] = (None, None),
    device: str,
) -> FullTiles | ProjectedTiles:
    """Return the tiles that compare all pairs at the least cost. Arguments as `join`.

    Raises:
        InputError: a vector is not finite.
        ConfigError: as `self_join`.
        ModelError: as `self_join`.
    """
    if device != "cpu":
        torch_device(device)
    pairs = left.shape[0] * right.shape[0] // (2 if within else 1)
    if not pairs:
        return FullTiles(left, right, threshold, within=within, tile=TILE)
    # The larger of two sets gives the better projection.
    larger = max((each for each in prepared if each), key=lambda each: each.rows, default=None)
    if larger and (device != "cpu" or pairs >= PREPARED_FROM) and (base := larger.projected):
        x, y = (
            base if each is larger else Projected.of(vectors, base.projection, device)
            for each, vectors in zip(prepared, (left, right), strict=True)
        )
        return _projected_tiles(left, right, threshold, (x, y), within=within, device=device)
    if device == "cpu" and pairs < PROJECTED_FROM:
        return FullTiles(left, right, threshold, within=within, tile=TILE)
    projected = project_tiles(left, None if within else right, threshold, device=device)
    return projected or FullTiles(left, right, threshold, within=within, tile=TILE)


def project_tiles(left: Matrix, right: Matrix | None, threshold: float, *, device: str) -> ProjectedTiles | None:
    """Return the tiles of a join, projected on the number of directions that costs least. Arguments as `join`.

    Returns:
        None if the full product is cheaper, or torch is not installed.
    """
    if not is_installed("torch"):
        return None
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
    """Add the pairs of a tile to the number of partners of each row at each threshold.

    Args:
        left_counts: int64 [thresholds, rows], changed in place; the first column is `first_row`.
        right_counts: the same for right rows; in a self-join the same array.
        tile: the pairs.
        count_at: the thresholds.
        first_row: the row of the first column.
    """
    for index, value in enumerate(count_at):
        reached = tile.similarity >= np.float32(value)
        _count(left_counts[index], tile.left[reached] - first_row)
        _count(right_counts[index], tile.right[reached] - first_row)


def _count(counts: np.ndarray, rows: np.ndarray) -> None:
    """Add one for each occurrence of a row."""
    if len(rows):
        first = int(rows.min())
        found = np.bincount(rows - first)
        counts[first : first + len(found)] += found


def rescore(left: Matrix, right: Matrix, found: list[np.ndarray], threshold: float, *, within: bool) -> pa.Table:
    """Compute found pairs in float64 and return those that reach the threshold.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d]; the same object as `left` in a self-join.
        found: arrays int64 [2, p] of row pairs, in which a pair may occur more than once.
        threshold: smallest inner product of a pair.
        within: whether it is a self-join.

    Returns:
        table of `PAIR_SCHEMA`, each pair once, sorted.
    """
    pairs = np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)
    if within:
        pairs = np.sort(pairs, axis=0)
    # A pair may be among the K best of both its vectors.
    pairs = np.unique(pairs, axis=1)
    # Unclipped, so that copies whose stored vectors are too long keep their order.
    similarity = inner_products(left, right, pairs[0], pairs[1])
    kept = similarity >= np.float32(threshold)
    return pa.table([pairs[0, kept], pairs[1, kept], similarity[kept]], schema=PAIR_SCHEMA)
