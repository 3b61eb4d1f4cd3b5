"""From arrays of embeddings to running sums: cast, checked and normalized in blocks of bounded memory.

The product of a block with itself is nearly all of the work, and in float32 it takes half the time. Three things
keep the scores that follow within 1e-6 of an all-float64 computation:

- A block is cast, normalized and moved to its own mean in float64 and only then rounded, so that the rounding is a
  share of the scatter and not of the vectors, however concentrated they are; the mean's part, n m m^T, is added in
  float64, as are the blocks to each other.
- What is left is the rounding of the float32 additions: a symmetric matrix of no particular direction whose
  eigenvalues are below `NOISE` |C|_F. It shifts eigenvalues above it without harm, but sets those that are 0 to
  about +-1e-9 of the trace, and a few hundred of these move the entropy by 1e-5. So float32 is used only once
  the spectrum of the sums so far has been seen to have next to no such eigenvalues, and is looked at again each time
  the scatter has grown by `GROWTH`. Adding vectors never lowers an eigenvalue, which makes one look good for the
  growth in between, in whatever order the vectors come. Sets of low rank stay in float64.
- Small blocks and short vectors stay in float64 too: there, float32 would gain nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visdiv_assets.errors import InputError
from visdiv_assets.threads import ordered_map, thread_count

Float64Array = NDArray[np.float64]

#: Bytes of one block of vectors after the cast to float64; one such array and one of half its size exist at a time.
BLOCK_BYTES = 16 * 2**20

#: Bytes of the rows that one thread casts, checks or centers at a time: they stay in its cache in between.
CHUNK_BYTES = 2**19

#: Rows of a block and dimensions below which products are in float64.
FLOAT32_ROWS = 1024
FLOAT32_DIMENSION = 256

#: Largest eigenvalue of the rounding of float32 sums as a share of |C|_F; OpenBLAS shows 1.5e-8 for one block and
#: less for more of them, which average out.
NOISE = 6e-8

#: The scatter may grow this many times before the spectrum is looked at again.
GROWTH = 4

#: Change of the entropy, hence relative change of the effective rank, that rounding may cause.
TOLERANCE = 1e-6

#: Scatter as a share of n at and below which it is too near the rounding of float64 to tell a spectrum.
CONCENTRATED = 1e-9


class RunningSums:
    """The sums while vectors stream by, in place: a new [D, D] for each small batch would dominate.

    Attributes:
        n: positions summed so far, weights counted.
        sum_x: float64 [D].
        second: float64 [D, D], sum of x x^T.
        normalize: whether rows are brought to unit length first.
        rows_seen: rows read so far, so that errors count rows across batches.
    """

    def __init__(self, dimension: int, normalize: bool) -> None:
        self.n = 0
        self.sum_x = np.zeros(dimension)
        self.second = np.zeros((dimension, dimension))
        self.normalize = normalize
        self.rows_seen = 0
        self._threads = thread_count(0)
        # Kept from block to block: fresh pages for each would take as long as the arithmetic on them.
        self._wide = np.empty((0, dimension))
        self._narrow = np.empty((0, dimension), dtype=np.float32)
        self._looked_at = 0.0
        self._spread_out = False

    def add(self, vectors: NDArray[Any], weights: ArrayLike | None, block: int | None) -> None:
        """Add the rows of an array; arguments and errors as `Moments.from_vectors`."""
        rows, dimension = vectors.shape
        if dimension != self.sum_x.size:
            raise InputError(f"embeddings of {self.sum_x.size} and {dimension} dimensions cannot be combined")
        counts = None if weights is None else _as_counts(weights, rows)
        step = max(1, BLOCK_BYTES // (8 * dimension) if block is None else block)
        for start in range(0, rows, step):
            x = self._loaded(vectors[start : start + step])
            self._add_block(x, None if counts is None else counts[start : start + step])
            self.rows_seen += len(x)

    def _loaded(self, vectors: NDArray[Any]) -> Float64Array:
        """The rows as float64, checked and normalized, in a buffer that the next call overwrites."""
        if len(self._wide) < len(vectors):
            self._wide = np.empty(vectors.shape)
        x = self._wide[: len(vectors)]

        def load(rows: slice) -> None:
            np.copyto(x[rows], vectors[rows], casting="same_kind")
            _check_and_normalize(x[rows], self.rows_seen + rows.start, self.normalize)

        self._by_chunks(load, len(x))
        return x

    def _add_block(self, x: Float64Array, counts: NDArray[np.int64] | None) -> None:
        """Add checked rows, which are overwritten."""
        n = len(x) if counts is None else int(counts.sum())
        total: Float64Array = x.sum(axis=0) if counts is None else counts @ x
        # A root on both sides keeps the form A^T A, which is symmetric and half the work.
        roots = None if counts is None else np.sqrt(counts)[:, np.newaxis]
        if self._float32_will_do(len(x), n, total):
            mean = total / n
            y = self._centered(x, mean, roots)
            self.second += y.T @ y
            self.second += np.outer(total, mean)
        else:
            if roots is not None:
                x *= roots
            self.second += x.T @ x
        self.n += n
        self.sum_x += total

    def _centered(self, x: Float64Array, mean: Float64Array, roots: Float64Array | None) -> NDArray[np.float32]:
        """The rows less their mean, times the roots of their counts, rounded to float32 last."""
        if len(self._narrow) < len(x):
            self._narrow = np.empty(x.shape, dtype=np.float32)
        y = self._narrow[: len(x)]

        def center(rows: slice) -> None:
            x[rows] -= mean
            if roots is not None:
                x[rows] *= roots[rows]
            y[rows] = x[rows]

        self._by_chunks(center, len(x))
        return y

    def _float32_will_do(self, rows: int, n: int, total: Float64Array) -> bool:
        """Whether the next block, of so many rows, positions and this sum, may be multiplied in float32."""
        if not self.normalize or rows < FLOAT32_ROWS or total.size < FLOAT32_DIMENSION or n == 0 or self.n == 0:
            return False
        after = _spread(self.n + n, self.sum_x + total)
        if after > GROWTH * self._looked_at:
            now = _spread(self.n, self.sum_x)
            if now <= CONCENTRATED * self.n or after > GROWTH * now:
                return False
            self._looked_at = now
            self._spread_out = _is_spread_out(self.second - np.outer(self.sum_x, self.sum_x) / self.n)
        return self._spread_out

    def _by_chunks(self, function: Callable[[slice], None], rows: int) -> None:
        """Call the function with slices that cover the rows, one contiguous share of them in each thread."""
        step = max(1, CHUNK_BYTES // (8 * self.sum_x.size))
        share = max(4 * step, -(-rows // self._threads))

        def work(first: int) -> None:
            last = min(first + share, rows)
            for start in range(first, last, step):
                function(slice(start, min(start + step, last)))

        if share >= rows:
            work(0)
        else:
            for _ in ordered_map(work, range(0, rows, share), threads=self._threads):
                pass


def _spread(n: int, sum_x: Float64Array) -> float:
    """Trace of the scatter of n vectors of unit length around their mean."""
    return n - float(sum_x @ sum_x) / n


def _is_spread_out(scatter: Float64Array) -> bool:
    """Whether rounding of `NOISE` leaves the entropy of the eigenvalues within `TOLERANCE`."""
    values = np.linalg.eigvalsh(scatter)
    shares = values / values.sum()
    noise = NOISE * math.sqrt(float(shares @ shares))
    # Those that the growth to come may leave within ten times the noise.
    small = int((shares < 10 * GROWTH * noise).sum())
    return small * noise * math.log(1 / noise) <= TOLERANCE


def _check_and_normalize(x: Float64Array, first: int, normalize: bool) -> None:
    """Refuse rows that are not finite and bring the others to unit length in place; `first` is the first's number."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", x, x)
    # False for NaN as well.
    if squares.max() < 1e200 and (not normalize or squares.min() > 1e-200):
        if normalize:
            x *= (1 / np.sqrt(squares))[:, np.newaxis]
        return
    peak = np.maximum(x.max(axis=1), -x.min(axis=1))
    bad = ~np.isfinite(peak)
    if bad.any():
        row = first + int(bad.argmax())
        raise InputError(f"embedding row {row} holds NaN or infinity: embed that image again or leave it out")
    if not normalize:
        return
    if not peak.all():
        row = first + int((peak == 0).argmax())
        raise InputError(f"embedding row {row} is all zero and has no direction: embed it again or leave it out")
    # Dividing by the largest entry first keeps the squares of very long or short vectors in range.
    x /= peak[:, np.newaxis]
    x /= np.sqrt(np.einsum("ij,ij->i", x, x))[:, np.newaxis]


def as_matrix(vectors: ArrayLike) -> NDArray[Any]:
    """The embeddings as an array [n, D], not copied if they are one.

    Raises:
        InputError: they are something else.
    """
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":
        raise InputError(f"embeddings are an array [n, D] of floats, got {matrix.dtype} {list(matrix.shape)}")
    return matrix


def _as_counts(weights: ArrayLike, rows: int) -> NDArray[Any]:
    counts = np.asarray(weights)
    if counts.shape != (rows,):
        raise InputError(f"weights are one integer per row: {rows} rows, weights of shape {list(counts.shape)}")
    if rows and (counts.dtype.kind not in "iu" or counts.min() < 0):
        raise InputError("weights are how often each row occurs: whole numbers, 0 or more, of an integer dtype")
    return counts.astype(np.int64)
