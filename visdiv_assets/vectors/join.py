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

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.bounded_tiles import bounded_tiles
from visdiv_assets.vectors.matrix import Matrix, as_rows
from visdiv_assets.vectors.pair_similarity import inner_products
from visdiv_assets.vectors.tiles import Candidates
from visdiv_assets.vectors.top_k import BestPartners

PAIR_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("similarity", pa.float32())])


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
    vectors: ArrayLike | Matrix,
    threshold: float,
    *,
    k_best: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> pa.Table:
    """Find all pairs left < right of one set with similarity >= threshold.

    Args:
        vectors: unit vectors [n, d], any float dtype: a list, an array, a torch tensor, or what `extract` returns; read
            in blocks.
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
    return join(as_rows(vectors), None, threshold, k_best=k_best, device=device, progress=progress).pairs


def cross_join(
    left: ArrayLike | Matrix,
    right: ArrayLike | Matrix,
    threshold: float,
    *,
    k_best: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> pa.Table:
    """Find all pairs between two sets with similarity >= threshold; see `self_join`.

    Args:
        left: unit vectors [n, d], as in `self_join`.
        right: unit vectors [m, d], as in `self_join`.
        threshold: smallest inner product of a pair.
        k_best: as in `self_join`.
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
    return join(as_rows(left), as_rows(right), threshold, k_best=k_best, device=device, progress=progress).pairs


def join(
    left: Matrix,
    right: Matrix | None,
    threshold: float,
    *,
    k_best: int | None = None,
    count_at: Sequence[float] = (),
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
    counts_from = min(count_at, default=np.inf)
    left_best = BestPartners(left.shape[0], k_best, floor=threshold, cap=counts_from) if k_best else None
    right_best = BestPartners(other.shape[0], k_best, floor=threshold, cap=counts_from) if k_best else None
    if within:
        right_best = left_best
    left_counts = np.zeros((len(count_at), left.shape[0]), np.int64)
    right_counts = left_counts if within else np.zeros((len(count_at), other.shape[0]), np.int64)
    found: list[np.ndarray] = []
    constant = _constant(left, threshold), _constant(other, threshold)
    bounds = (left_best.bounds, right_best.bounds) if left_best and right_best else constant
    for tile in bounded_tiles(left, right, bounds, device=device).between(0, left.shape[0]):
        a, b, similarity = tile.left, tile.right, tile.similarity
        count_partners(left_counts, right_counts, tile, count_at)
        if left_best is None or right_best is None:
            found.append(np.stack([a, b]))
        else:
            left_best.offer(a, b, similarity)
            right_best.offer(b, a, similarity)
        progress(tile.rows_done)
    if left_best is not None and right_best is not None:
        found = [left_best.pairs()] if within else [left_best.pairs(), right_best.pairs()[::-1]]
    return Join(rescore(left, other, found, threshold, within=within), left_counts, right_counts)


def _constant(vectors: Matrix, threshold: float) -> np.ndarray:
    """Return one bound for all vectors, which takes no memory for each."""
    return np.broadcast_to(np.float32(threshold), vectors.shape[:1])


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
