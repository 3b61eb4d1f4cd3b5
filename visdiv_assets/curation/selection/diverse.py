"""Rows that are far from each other: farthest-first (k-center greedy) and k-means++ seeding."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from visdiv_assets.diversity.accumulate import as_matrix
from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.tiles import round_products
from visdiv_assets.vectors.unit_rows import BLOCK, unit_at, unit_blocks

#: Rows farthest from all picks that are held as float32: 64 MB of 512 dimensions.
POOL = 32_768
#: Rows of a block times picks that it is compared with: 32 MB of products.
PRODUCTS = 8_000_000
#: Picks whose sums of weights are looked through at a time.
WEIGHTS = 1024

Method = Literal["k_center", "k_means_plus_plus"]


def select_diverse_samples(
    embeddings: ArrayLike | Matrix, k: int, method: Method = "k_center", seed: int = 0
) -> np.ndarray:
    """Pick k rows that cover the whole set.

    - "k_center": Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", known as k-center greedy
      from Sener and Savarese (arXiv 1708.00489). The first row is drawn; each further one is the row whose nearest pick
      is farthest, argmax_i min_p |x_i - x_p|, of equals the lowest row. The covering radius is at most twice the best.
    - "k_means_plus_plus": Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding". Each further
      row is drawn with probability proportional to min_p |x_i - x_p|^2, which follows density more and outliers less.

    Distances are of rows brought to length 1, where |x - y|^2 = 2 - 2 cos. Both are computed exactly, but a row is
    compared with new picks only once it may matter: about n k d products at most, in fast blocks.

    Args:
        embeddings: [n, d] of any float dtype; may be memory-mapped or any other `search.matrix.Matrix`.
        k: rows wanted; all are put in order if there are no more.
        method: see above.
        seed: of what is drawn.

    Returns:
        int64 [min(k, n)], row numbers in the order in which they were picked, each once.

    Raises:
        InputError: k is negative, the method is unknown, the embeddings are not [n, d], or a row is not finite or all
            zero.
    """
    vectors = embeddings if hasattr(embeddings, "shape") else as_matrix(embeddings)
    if len(vectors.shape) != 2:
        raise InputError(f"embeddings are an array [n, d] of floats, got {list(vectors.shape)}")
    if k < 0:
        raise InputError(f"cannot pick {k} rows: ask for 0 or more")
    picks = {"k_center": _farthest_first, "k_means_plus_plus": _seeded}.get(method)
    if picks is None:
        raise InputError(f"no method {method!r}: it is k_center or k_means_plus_plus")
    k = min(k, vectors.shape[0])
    if k == 0:
        return np.empty(0, np.int64)
    chosen = picks(_Nearest(vectors, k), k, np.random.default_rng(seed))
    return chosen


class _Nearest:
    """The picks, and each row's cosine to the nearest of those that it was compared with.

    Attributes:
        similarity: float32 [n]; a lower bound of the cosine to the nearest pick, exact after `refresh`. Infinite for
            picks themselves.
        picked: how many.
    """

    def __init__(self, vectors: Any, k: int) -> None:
        self.vectors = vectors
        self.rows: int = vectors.shape[0]
        self.similarity = np.full(self.rows, -np.inf, np.float32)
        self.picks = np.empty((k, vectors.shape[1]), np.float32)
        self.picked = 0
        self.compared = np.zeros(self.rows, np.int32)

    def pick(self, row: int) -> None:
        """Add a row to the picks; no other row is compared with it yet."""
        self.picks[self.picked] = unit_at(self.vectors, np.array([row]))[0]
        self.picked += 1
        self.similarity[row] = np.inf
        self.compared[row] = len(self.picks)

    def refresh(self) -> None:
        """Compare every row with the picks that it was not compared with."""
        first = int(self.compared.min())
        new = self.picks[first : self.picked].T
        if not new.size:
            return
        for start, block in unit_blocks(self.vectors, max(1, min(BLOCK, PRODUCTS // new.shape[1]))):
            part = self.similarity[start : start + len(block)]
            np.maximum(part, round_products((block @ new).max(axis=1)), out=part)
        np.maximum(self.compared, self.picked, out=self.compared)

    def of(self, row: int) -> float:
        """One row's cosine to its nearest pick."""
        first = int(self.compared[row])
        if first < self.picked:
            vector = unit_at(self.vectors, np.array([row]))[0]
            reached = round_products((self.picks[first : self.picked] @ vector).max(keepdims=True))[0]
            self.similarity[row] = max(self.similarity[row], reached)
            self.compared[row] = self.picked
        return float(self.similarity[row])


def _farthest_first(nearest: _Nearest, k: int, random: np.random.Generator) -> np.ndarray:
    """Picks out of a pool of the rows that were farthest when it was filled.

    Every row outside has at least the similarity `level`, and similarities only grow. So while the lowest one in the
    pool is below the level, it is the lowest of all.
    """
    chosen = np.empty(k, np.int64)
    row = int(random.integers(nearest.rows))
    pool, level = np.empty(0, np.int64), -np.inf
    held, reached = np.empty((0, nearest.picks.shape[1]), np.float32), np.empty(0, np.float32)
    for place in range(k):
        chosen[place] = row
        nearest.pick(row)
        if place + 1 == k:
            break
        reached[pool == row] = np.inf
        np.maximum(reached, round_products(held @ nearest.picks[place]), out=reached)
        best = int(np.argmin(reached)) if len(pool) else 0
        if len(pool) and reached[best] < level:
            row = int(pool[best])
            continue
        nearest.refresh()
        # All are exact now, and the first of the lowest is the lowest row.
        row = int(np.argmin(nearest.similarity))
        size = min(POOL, nearest.rows)
        pool = np.sort(np.argpartition(nearest.similarity, size - 1)[:size])
        reached = nearest.similarity[pool]
        level = np.inf if size == nearest.rows else float(reached.max())
        held = np.concatenate([unit_at(nearest.vectors, pool[i : i + BLOCK]) for i in range(0, size, BLOCK)])
    return chosen


def _seeded(nearest: _Nearest, k: int, random: np.random.Generator) -> np.ndarray:
    """Draws by rejection: by the weights known, which are never too small, then kept with probability true / known.

    All weights are computed anew whenever there are twice as many picks as the last time.
    """
    chosen = np.empty(k, np.int64)
    row = int(random.integers(nearest.rows))
    weights, sums, until = np.empty(0), np.empty(0), 1
    for place in range(k):
        chosen[place] = row
        nearest.pick(row)
        if place + 1 == k:
            break
        if place + 1 == until:
            until *= 2
            nearest.refresh()
            weights = _weights(nearest.similarity)
            sums = np.add.reduceat(weights, np.arange(0, nearest.rows, WEIGHTS))
        else:
            _set(weights, sums, row, 0.0)
        row = _drawn(nearest, weights, sums, random)
    return chosen


def _drawn(nearest: _Nearest, weights: np.ndarray, sums: np.ndarray, random: np.random.Generator) -> int:
    """A row drawn by its true weight; where all that is left lies on picks, any row that is not one."""
    while sums.any():
        cumulated = np.cumsum(sums)
        point = random.random() * cumulated[-1]
        block = min(int(np.searchsorted(cumulated, point, side="right")), len(sums) - 1)
        first = block * WEIGHTS
        inside = np.cumsum(weights[first : first + WEIGHTS])
        within = point - (cumulated[block] - sums[block])
        row = first + min(int(np.searchsorted(inside, within, side="right")), len(inside) - 1)
        known = float(weights[row])
        true = float(_weights(np.array([nearest.of(row)]))[0])
        if true < known:
            _set(weights, sums, row, true)
        # Rounding of the sums may lead to a row of weight 0, which is never drawn.
        if true > 0 and random.random() * known < true:
            return row
    left = np.flatnonzero(nearest.similarity < np.inf)
    return int(left[random.integers(len(left))])


def _weights(similarity: np.ndarray) -> np.ndarray:
    """Squared distances 2 - 2 cos, 0 for picks."""
    squares: np.ndarray = np.maximum(2 - 2 * similarity.astype(np.float64), 0)
    return squares


def _set(weights: np.ndarray, sums: np.ndarray, row: int, weight: float) -> None:
    weights[row] = weight
    block = row // WEIGHTS
    # Summed anew, not subtracted: what rounding would leave could be drawn.
    sums[block] = weights[block * WEIGHTS : (block + 1) * WEIGHTS].sum()
