"""Selection of rows that are far from each other: farthest-first (k-center greedy) and k-means++ seeding."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix, as_rows
from visdiv_assets.vectors.tiles import round_products
from visdiv_assets.vectors.unit_rows import BLOCK, unit_at, unit_blocks

#: Number of rows, farthest from all picks, that are held as float32: 64 MB at 512 dimensions.
POOL = 32_768
#: Rows of a block times the picks that it is compared with: 32 MB of products.
PRODUCTS = 8_000_000
#: Number of weights that are summed in one block, for drawing.
WEIGHTS = 1024

Method = Literal["k_center", "k_means_plus_plus"]


def select_diverse_samples(
    embeddings: ArrayLike | Matrix, k: int, method: Method = "k_center", seed: int = 0
) -> np.ndarray:
    """Pick k rows that cover the whole set.

    - "k_center": Gonzalez 1985, "Clustering to minimize the maximum intercluster distance", known as k-center greedy
      from Sener and Savarese (arXiv 1708.00489). The first row is drawn at random; each later one is the row whose
      nearest pick is farthest, argmax_i min_p |x_i - x_p|. Ties go to the lowest row. The covering radius is at most
      twice the optimum.
    - "k_means_plus_plus": Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding". Each later
      row is drawn with probability proportional to min_p |x_i - x_p|^2, which follows density more and outliers less.

    Distances are those of rows scaled to length 1, where |x - y|^2 = 2 - 2 cos. Both methods are exact, but a row is
    compared with new picks only when they may matter: at most about n k d products, in fast blocks.

    Args:
        embeddings: [n, d] of any float dtype: a list, an array, which may be memory-mapped, a torch tensor, what
            `extract` returns, or any other `vectors.matrix.Matrix`.
        k: number of rows to pick; if there are fewer, all are returned in order.
        method: "k_center" or "k_means_plus_plus".
        seed: seed of the random draws.

    Returns:
        int64 [min(k, n)], row indices in the order in which they were picked, each once.

    Raises:
        InputError: k is negative, the method is unknown, the embeddings are not [n, d], or a row is not finite or all
            zero.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import select_diverse_samples
        >>> embeddings = np.array([[1, 0], [0.9, 0.1], [0, 1]])
        >>> sorted(select_diverse_samples(embeddings, k=2).tolist())
        [0, 2]
    """
    vectors = as_rows(embeddings)
    if len(vectors.shape) != 2:
        raise InputError(f"embeddings must be an array [n, d] of floats: got shape {list(vectors.shape)}")
    if k < 0:
        raise InputError(f"cannot pick {k} rows: ask for 0 or more")
    picks = {"k_center": _farthest_first, "k_means_plus_plus": _draw_seeds}.get(method)
    if picks is None:
        raise InputError(f"unknown method {method!r}: use k_center or k_means_plus_plus")
    k = min(k, vectors.shape[0])
    if k == 0:
        return np.empty(0, np.int64)
    chosen = picks(_Nearest(vectors, k), k, np.random.default_rng(seed))
    return chosen


class _Nearest:
    """The picks, and each row's cosine to the nearest of the picks that it was compared with.

    Attributes:
        similarity: float32 [n]; a lower bound of the cosine to the nearest pick, exact after `refresh`. Infinite for
            the picks themselves.
        picked: number of picks.
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
        """Compare every row with the picks that it was not yet compared with."""
        first = int(self.compared.min())
        new = self.picks[first : self.picked].T
        if not new.size:
            return
        for start, block in unit_blocks(self.vectors, max(1, min(BLOCK, PRODUCTS // new.shape[1]))):
            part = self.similarity[start : start + len(block)]
            np.maximum(part, round_products((block @ new).max(axis=1)), out=part)
        np.maximum(self.compared, self.picked, out=self.compared)

    def similarity_of(self, row: int) -> float:
        """Return one row's cosine to its nearest pick."""
        first = int(self.compared[row])
        if first < self.picked:
            vector = unit_at(self.vectors, np.array([row]))[0]
            reached = round_products((self.picks[first : self.picked] @ vector).max(keepdims=True))[0]
            self.similarity[row] = max(self.similarity[row], reached)
            self.compared[row] = self.picked
        return float(self.similarity[row])


def _farthest_first(nearest: _Nearest, k: int, random: np.random.Generator) -> np.ndarray:
    """Pick from a pool of the rows that were farthest when it was filled.

    Every row outside the pool has at least the similarity `level`, and similarities only grow. So as long as the lowest
    similarity in the pool is below `level`, it is the lowest of all.
    """
    chosen = np.empty(k, np.int64)
    row = int(random.integers(nearest.rows))
    pool, level = np.empty(0, np.int64), -np.inf
    held, reached = np.empty((0, nearest.picks.shape[1]), np.float32), np.empty(0, np.float32)
    for index in range(k):
        chosen[index] = row
        nearest.pick(row)
        if index + 1 == k:
            break
        reached[pool == row] = np.inf
        np.maximum(reached, round_products(held @ nearest.picks[index]), out=reached)
        best = int(np.argmin(reached)) if len(pool) else 0
        if len(pool) and reached[best] < level:
            row = int(pool[best])
            continue
        nearest.refresh()
        # All similarities are exact now; argmin returns the lowest row among ties.
        row = int(np.argmin(nearest.similarity))
        size = min(POOL, nearest.rows)
        pool = np.sort(np.argpartition(nearest.similarity, size - 1)[:size])
        reached = nearest.similarity[pool]
        level = np.inf if size == nearest.rows else float(reached.max())
        held = np.concatenate([unit_at(nearest.vectors, pool[i : i + BLOCK]) for i in range(0, size, BLOCK)])
    return chosen


def _draw_seeds(nearest: _Nearest, k: int, random: np.random.Generator) -> np.ndarray:
    """Draw by rejection: by the known weights, which are never too small, accepting with probability true / known.

    All weights are recomputed whenever the number of picks has doubled.
    """
    chosen = np.empty(k, np.int64)
    row = int(random.integers(nearest.rows))
    weights, sums, until = np.empty(0), np.empty(0), 1
    for index in range(k):
        chosen[index] = row
        nearest.pick(row)
        if index + 1 == k:
            break
        if index + 1 == until:
            until *= 2
            nearest.refresh()
            weights = _weights(nearest.similarity)
            sums = np.add.reduceat(weights, np.arange(0, nearest.rows, WEIGHTS))
        else:
            _set_weight(weights, sums, row, 0.0)
        row = _draw_row(nearest, weights, sums, random)
    return chosen


def _draw_row(nearest: _Nearest, weights: np.ndarray, sums: np.ndarray, random: np.random.Generator) -> int:
    """Draw a row by its true weight; if all remaining rows are identical to picks, draw any of them."""
    while sums.any():
        cumulated = np.cumsum(sums)
        point = random.random() * cumulated[-1]
        block = min(int(np.searchsorted(cumulated, point, side="right")), len(sums) - 1)
        first = block * WEIGHTS
        inside = np.cumsum(weights[first : first + WEIGHTS])
        within = point - (cumulated[block] - sums[block])
        row = first + min(int(np.searchsorted(inside, within, side="right")), len(inside) - 1)
        known = float(weights[row])
        true = float(_weights(np.array([nearest.similarity_of(row)]))[0])
        if true < known:
            _set_weight(weights, sums, row, true)
        # Rounding of the sums may point to a row of weight 0, which must never be drawn.
        if true > 0 and random.random() * known < true:
            return row
    left = np.flatnonzero(nearest.similarity < np.inf)
    return int(left[random.integers(len(left))])


def _weights(similarity: np.ndarray) -> np.ndarray:
    """Return squared distances 2 - 2 cos, 0 for picks."""
    squares: np.ndarray = np.maximum(2 - 2 * similarity.astype(np.float64), 0)
    return squares


def _set_weight(weights: np.ndarray, sums: np.ndarray, row: int, weight: float) -> None:
    weights[row] = weight
    block = row // WEIGHTS
    # Summed again rather than subtracted: a subtraction would leave a rounding error, which could be drawn.
    sums[block] = weights[block * WEIGHTS : (block + 1) * WEIGHTS].sum()
