"""From arrays of embeddings to running sums: cast, checked and normalised in blocks of bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visdiv_assets.errors import VisdivError

Float64Array = NDArray[np.float64]

#: Bytes of one block of vectors after the cast to float64; a few arrays of this size exist at a time.
BLOCK_BYTES = 32 * 2**20


class RunningSums:
    """The sums while vectors stream by, in place: a new [D, D] for each small batch would dominate.

    Attributes:
        n: positions summed so far, weights counted.
        sum_x: float64 [D].
        second: float64 [D, D], sum of x x^T.
        normalise: whether rows are brought to unit length first.
        rows_seen: rows read so far, so that errors count rows across batches.
    """

    def __init__(self, dimension: int, normalise: bool) -> None:
        self.n = 0
        self.sum_x = np.zeros(dimension)
        self.second = np.zeros((dimension, dimension))
        self.normalise = normalise
        self.rows_seen = 0

    def add(self, vectors: NDArray[Any], weights: ArrayLike | None, block: int | None) -> None:
        """Add the rows of an array; arguments and errors as `Moments.from_vectors`."""
        rows, dimension = vectors.shape
        if dimension != self.sum_x.size:
            raise VisdivError(f"embeddings of {self.sum_x.size} and {dimension} dimensions cannot be combined")
        counts = None if weights is None else _as_counts(weights, rows)
        step = max(1, BLOCK_BYTES // (8 * dimension) if block is None else block)
        for start in range(0, rows, step):
            x = np.array(vectors[start : start + step], dtype=np.float64, order="C")
            self._check_and_normalise(x)
            if counts is None:
                self.n += len(x)
                self.sum_x += x.sum(axis=0)
            else:
                count = counts[start : start + step]
                self.n += int(count.sum())
                self.sum_x += count @ x
                # A root on both sides keeps the form A^T A, which is symmetric and half the work.
                x *= np.sqrt(count)[:, np.newaxis]
            self.second += x.T @ x
            self.rows_seen += len(x)

    def _check_and_normalise(self, x: Float64Array) -> None:
        peak = np.maximum(x.max(axis=1), -x.min(axis=1))
        bad = ~np.isfinite(peak)
        if bad.any():
            row = self.rows_seen + int(bad.argmax())
            raise VisdivError(f"embedding row {row} holds NaN or infinity: embed that picture again or leave it out")
        if not self.normalise:
            return
        if not peak.all():
            row = self.rows_seen + int((peak == 0).argmax())
            raise VisdivError(f"embedding row {row} is all zero and has no direction: embed it again or leave it out")
        # Dividing by the largest entry first keeps the squares of very long or short vectors in range.
        x /= peak[:, np.newaxis]
        x /= np.sqrt(np.einsum("ij,ij->i", x, x))[:, np.newaxis]


def as_matrix(vectors: ArrayLike) -> NDArray[Any]:
    """The embeddings as an array [n, D], not copied if they are one.

    Raises:
        VisdivError: they are something else.
    """
    matrix = np.asarray(vectors)
    if matrix.ndim != 2 or matrix.shape[1] == 0 or matrix.dtype.kind not in "fiu":
        raise VisdivError(f"embeddings are an array [n, D] of floats, got {matrix.dtype} {list(matrix.shape)}")
    return matrix


def _as_counts(weights: ArrayLike, rows: int) -> NDArray[Any]:
    counts = np.asarray(weights)
    if counts.shape != (rows,):
        raise VisdivError(f"weights are one integer per row: {rows} rows, weights of shape {list(counts.shape)}")
    if rows and (counts.dtype.kind not in "iu" or counts.min() < 0):
        raise VisdivError("weights are how often each row occurs: whole numbers, 0 or more, of an integer dtype")
    return counts.astype(np.int64)
