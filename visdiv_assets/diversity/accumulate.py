"""Running sums over arrays of embeddings, which are cast, checked and normalized in blocks of bounded memory.

The product of a block with itself is nearly all of the work, and in float32 it takes half the time. Three rules keep
the scores within 1e-6 of those computed in float64 throughout:

- A block is cast, normalized and centered at its own mean in float64, and only then rounded. The rounding error is thus
  relative to the scatter, not to the vectors, however concentrated they are. The part of the mean, n m m^T, is added in
  float64, and so are the blocks.
- The remaining error is the rounding of the float32 additions: a symmetric matrix without a preferred direction whose
  eigenvalues are less than `NOISE` |C|_F. It shifts larger eigenvalues without harm, but turns zeros into about +-1e-9
  of the trace, and a few hundred of these change the entropy by 1e-5. So float32 is used only after a check that the
  spectrum of the sums so far has almost no such eigenvalues; the check is repeated each time the scatter has grown by
  `GROWTH`. Adding vectors never lowers an eigenvalue, so a check holds for the growth in between, whatever the order of
  the vectors. Sets of low rank stay in float64.
- Small blocks and short vectors stay in float64, since float32 would gain nothing.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController

from visdiv_assets.errors import InputError
from visdiv_assets.threads import map_in, thread_count
from visdiv_assets.vectors.matrix import as_rows

Float64Array = NDArray[np.float64]
Result = TypeVar("Result")

#: Bytes of one block of vectors after the cast to float64; for each thread, about three of them exist at a time.
BLOCK_BYTES = 8 * 2**20

#: Bytes of the rows that are cast, checked or centered at a time, so that they stay in the cache.
CHUNK_BYTES = 2**19

#: Minimum rows of a block, and minimum dimension, for products in float32.
FLOAT32_ROWS = 1024
FLOAT32_DIMENSION = 256

#: Upper bound of the eigenvalues of the rounding error of float32 sums, as a share of |C|_F. Measured with OpenBLAS:
#: 1.5e-8 for one block, and less for several, whose errors average out.
NOISE = 6e-8

#: Factor by which the scatter may grow before the spectrum is checked again.
GROWTH = 4

#: Change of the entropy, and so relative change of the effective rank, that rounding may cause.
TOLERANCE = 1e-6

#: Scatter, as a share of n, up to which it is too close to the rounding of float64 to have a reliable spectrum.
CONCENTRATED = 1e-9

#: Held while the number of threads of linear algebra, which is that of the whole process, is changed.
_limit = threading.Lock()


class _Block(NamedTuple):
    """Checked rows of a block, float64 [m, D] in a buffer that is used again, with their weights and weighted sum."""

    rows: Float64Array
    counts: NDArray[np.int64] | None
    n: int
    total: Float64Array


class RunningSums:
    """Sums over a stream of vectors, updated in place, since a new [D, D] for each small batch would dominate the cost.

    Each thread works on blocks of its own, with linear algebra of one thread: the sums are the same for every number of
    threads, since blocks are added in their order.

    Attributes:
        n: sum of the weights of the rows so far.
        sum_x: float64 [D].
        second: float64 [D, D], sum of x x^T.
        normalize: whether rows are scaled to unit length first.
        rows_seen: number of rows read so far; errors count rows across batches.
    """

    def __init__(self, dimension: int, normalize: bool) -> None:
        self.n = 0
        self.sum_x = np.zeros(dimension)
        self.second = np.zeros((dimension, dimension))
        self.normalize = normalize
        self.rows_seen = 0
        self._threads = thread_count(0)
        # Reused for other blocks: allocating new pages would take as long as the arithmetic on them.
        self._wide: list[Float64Array] = []
        self._narrow: list[NDArray[np.float32]] = []
        # Products of blocks that are being computed, with the sum of the block, and its mean if they are centered.
        self._products: deque[tuple[Future[NDArray[Any]], Float64Array, Float64Array | None]] = deque()
        self._checked_scatter = 0.0
        self._spread_out = False

    def add(self, vectors: NDArray[Any], weights: ArrayLike | None, block: int | None) -> None:
        """Add the rows of an array; arguments and errors are those of `Moments.from_vectors`.

        After an error, the sums must not be used any more.
        """
        rows, dimension = vectors.shape
        if dimension != self.sum_x.size:
            raise InputError(f"embeddings of {self.sum_x.size} and {dimension} dimensions cannot be combined")
        counts = None if weights is None else _as_counts(weights, rows)
        step = max(FLOAT32_ROWS, BLOCK_BYTES // (8 * dimension)) if block is None else max(1, block)

        def load(start: int) -> _Block:
            chosen = slice(start, start + step)
            return self._load(vectors[chosen], None if counts is None else counts[chosen], self.rows_seen + start)

        starts = range(0, rows, step)
        with _one_thread_each():
            if len(starts) < 2:  # starting threads would take longer than a small batch
                for start in starts:
                    self._add_block(load(start), _call)
            else:
                threads = min(self._threads, len(starts))
                with ThreadPoolExecutor(threads) as executor:
                    for loaded in map_in(executor, load, starts, most=threads):
                        self._add_block(loaded, executor.submit)
                        self._settle(most=threads)
            self._settle()
        self.rows_seen += rows

    def _load(self, vectors: NDArray[Any], counts: NDArray[np.int64] | None, first: int) -> _Block:
        """Return rows as float64, checked and normalized; `first` is the index of the first one, for messages."""
        x = _buffer(self._wide, vectors.shape, np.float64)
        total = np.zeros(self.sum_x.size)
        for chunk in _chunks(x):
            np.copyto(x[chunk], vectors[chunk], casting="same_kind")
            _check_and_normalize(x[chunk], first + chunk.start, self.normalize)
            total += x[chunk].sum(axis=0) if counts is None else counts[chunk] @ x[chunk]
        return _Block(x, counts, len(x) if counts is None else int(counts.sum()), total)

    def _add_block(self, block: _Block, submit: Callable[..., Future[NDArray[Any]]]) -> None:
        """Add a block; its product, which `submit` calls for, is added when it is there."""
        mean = block.total / block.n if self._may_use_float32(len(block.rows), block.n, block.total) else None
        self._products.append((submit(self._multiply, block, mean), block.total, mean))
        self.n += block.n
        self.sum_x += block.total

    def _settle(self, most: int = 0) -> None:
        """Add products in order, until at most `most` are missing."""
        while len(self._products) > most:
            product, total, mean = self._products.popleft()
            self.second += product.result()
            if mean is not None:
                self.second += np.outer(total, mean)

    def _multiply(self, block: _Block, mean: Float64Array | None) -> NDArray[Any]:
        """Return the sum of the products of rows, in float32 around their mean if it is given: [D, D]."""
        x, counts = block.rows, block.counts
        # Both factors are scaled by the root, to keep the form A^T A, which is symmetric and half the work.
        roots = None if counts is None else np.sqrt(counts)[:, np.newaxis]
        if mean is not None:
            y = self._center(x, mean, roots)
            product: NDArray[Any] = y.T @ y
            _keep(self._narrow, y)
        else:
            if roots is not None:
                x *= roots
            product = x.T @ x
        _keep(self._wide, x)
        return product

    def _center(self, x: Float64Array, mean: Float64Array, roots: Float64Array | None) -> NDArray[np.float32]:
        """Subtract the mean, multiply by the roots of the counts, and round to float32 last."""
        y = _buffer(self._narrow, x.shape, np.float32)
        for chunk in _chunks(x):
            x[chunk] -= mean
            if roots is not None:
                x[chunk] *= roots[chunk]
            y[chunk] = x[chunk]
        return y

    def _may_use_float32(self, rows: int, n: int, total: Float64Array) -> bool:
        """Return whether the next block, with these rows, weights n and sum, may be multiplied in float32."""
        if not self.normalize or rows < FLOAT32_ROWS or total.size < FLOAT32_DIMENSION or n == 0 or self.n == 0:
            return False
        after = _scatter_trace(self.n + n, self.sum_x + total)
        if after > GROWTH * self._checked_scatter:
            now = _scatter_trace(self.n, self.sum_x)
            if now <= CONCENTRATED * self.n or after > GROWTH * now:
                return False
            self._settle()
            self._checked_scatter = now
            self._spread_out = _is_spread_out(self.second - np.outer(self.sum_x, self.sum_x) / self.n)
        return self._spread_out


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Give each product of NumPy one thread; threads that call this at the same time wait for each other."""
    with _limit, _linear_algebra().limit(limits=1, user_api="blas"):
        yield


@cache
def _linear_algebra() -> ThreadpoolController:
    """Return the control of the threads of NumPy's linear algebra; finding its library takes a millisecond."""
    return ThreadpoolController()


def _call(function: Callable[..., Result], *arguments: Any) -> Future[Result]:
    """Call a function in this thread, as an executor would in another one."""
    done: Future[Result] = Future()
    done.set_result(function(*arguments))
    return done


def _buffer(kept: list[Any], shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """Return the first rows of a buffer that is not in use, or a new one."""
    try:
        buffer = kept.pop()
    except IndexError:
        buffer = np.empty(shape, dtype)
    return buffer[: shape[0]] if len(buffer) >= shape[0] else np.empty(shape, dtype)


def _keep(kept: list[Any], rows: NDArray[Any]) -> None:
    """Keep the buffer of some rows for another block."""
    kept.append(rows if rows.base is None else rows.base)


def _chunks(x: NDArray[Any]) -> Iterator[slice]:
    """Yield the slices of rows that stay in the cache of a thread."""
    step = max(1, CHUNK_BYTES // (8 * x.shape[1]))
    for start in range(0, len(x), step):
        yield slice(start, min(start + step, len(x)))


def _scatter_trace(n: int, sum_x: Float64Array) -> float:
    """Return the trace of the scatter of n unit vectors around their mean."""
    return n - float(sum_x @ sum_x) / n


def _is_spread_out(scatter: Float64Array) -> bool:
    """Return whether a rounding error of `NOISE` changes the entropy of the eigenvalues by at most `TOLERANCE`."""
    values = np.linalg.eigvalsh(scatter)
    shares = values / values.sum()
    noise = NOISE * math.sqrt(float(shares @ shares))
    # Eigenvalues that may be within ten times the noise after the growth that this check allows.
    small = int((shares < 10 * GROWTH * noise).sum())
    return small * noise * math.log(1 / noise) <= TOLERANCE


def _check_and_normalize(x: Float64Array, first: int, normalize: bool) -> None:
    """Check rows and scale them to unit length in place; `first` is the index of the first row, for messages."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", x, x)
    # The comparison is False for NaN, too.
    if squares.max() < 1e200 and (not normalize or squares.min() > 1e-200):
        if normalize:
            x *= (1 / np.sqrt(squares))[:, np.newaxis]
        return
    peak = np.maximum(x.max(axis=1), -x.min(axis=1))
    bad = ~np.isfinite(peak)
    if bad.any():
        row = first + int(bad.argmax())
        raise InputError(f"embedding row {row} holds NaN or infinity: embed its image again or remove the row")
    if not normalize:
        return
    if not peak.all():
        row = first + int((peak == 0).argmax())
        raise InputError(f"embedding row {row} is all zero: embed its image again or remove the row")
    # Division by the largest entry keeps the squares of very long or short vectors in range.
    x /= peak[:, np.newaxis]
    x /= np.sqrt(np.einsum("ij,ij->i", x, x))[:, np.newaxis]


def as_matrix(vectors: ArrayLike) -> NDArray[Any]:
    """Return embeddings as an array [n, D], without a copy if they are an array or a tensor in memory.

    Raises:
        InputError: they are not a matrix of numbers.
    """
    matrix = np.asarray(as_rows(vectors))
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":
        raise InputError(f"embeddings must be an array [n, D] of floats: got {matrix.dtype} {list(matrix.shape)}")
    return matrix


def _as_counts(weights: ArrayLike, rows: int) -> NDArray[Any]:
    counts = np.asarray(weights)
    if counts.shape != (rows,):
        raise InputError(f"weights must be one integer for each of {rows} rows: got shape {list(counts.shape)}")
    if rows and (counts.dtype.kind not in "iu" or counts.min() < 0):
        raise InputError("weights must be integers of 0 or more: give how often each row occurs, in an integer dtype")
    return counts.astype(np.int64)
