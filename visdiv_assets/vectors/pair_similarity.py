"""Compute the similarities of given pairs of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from visdiv_assets.vectors.matrix import Matrix, as_float32

#: Largest error of a float32 product of unit vectors of a few hundred dimensions.
MARGIN = 1e-5

#: Pairs computed at a time: few enough to stay in a core's cache, 2 MB of 512 dimensions in float64 for the two sides.
BLOCK = 256


def pair_similarities(
    left: Matrix, right: Matrix, left_rows: np.ndarray, right_rows: np.ndarray, *, precision: DTypeLike = np.float64
) -> np.ndarray:
    """Return the similarity of each pair of rows, clipped to [-1, 1].

    Lengths of vectors stored in float16 differ from 1 by up to 5e-4, so that the inner product of an image and its copy
    may be 1.001. What people read is a cosine, so both ends are clipped.

    Args:
        left: unit vectors [n, d].
        right: unit vectors [m, d]; the same object as `left` for pairs within one set.
        left_rows: int64 [p].
        right_rows: int64 [p].
        precision: see `inner_products`.

    Returns:
        float32 [p]; NaN where a vector is not finite.
    """
    products = inner_products(left, right, left_rows, right_rows, precision=precision)
    # Infinity would otherwise become a similarity of 1.
    products[np.isinf(products)] = np.nan
    similarity: np.ndarray = np.clip(products, -1, 1)
    return similarity


def inner_products(
    left: Matrix, right: Matrix, left_rows: np.ndarray, right_rows: np.ndarray, *, precision: DTypeLike = np.float64
) -> np.ndarray:
    """Return the inner product of each pair of rows, unclipped: float32 [p].

    Args:
        left: as in `pair_similarities`.
        right: as in `pair_similarities`.
        left_rows: int64 [p].
        right_rows: int64 [p].
        precision: float64 for results that are right to the last bit of a float32; float32 takes half the time.
    """
    widen = as_float32 if np.dtype(precision) == np.float32 else _as_float64
    products = np.empty(len(left_rows), np.float32)
    for start in range(0, len(products), BLOCK):
        chosen = slice(start, start + BLOCK)
        x, y = widen(left[left_rows[chosen]]), widen(right[right_rows[chosen]])
        products[chosen] = np.einsum("nd,nd->n", x, y)
    return products


def products_above(
    left: Matrix, right: Matrix, left_rows: np.ndarray, right_rows: np.ndarray, lowest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs whose inner product is at least `lowest`, float32 [p]; see `inner_products`.

    Returns:
        indices of the pairs int64 [q], ascending, and their products float32 [q], right to the last bit.
    """
    indices, products = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for start in range(0, len(left_rows), BLOCK):
        chosen = slice(start, start + BLOCK)
        x, y = as_float32(left[left_rows[chosen]]), as_float32(right[right_rows[chosen]])
        # float32 decides which pairs are computed in float64.
        close = np.flatnonzero(np.einsum("nd,nd->n", x, y) >= lowest[chosen] - np.float32(MARGIN))
        if len(close):
            exact = np.einsum("nd,nd->n", _as_float64(x[close]), _as_float64(y[close])).astype(np.float32)
            reached = exact >= lowest[chosen][close]
            indices.append(close[reached] + start)
            products.append(exact[reached])
    return np.concatenate(indices), np.concatenate(products)


def _as_float64(vectors: np.ndarray) -> np.ndarray:
    # Through float32, which is faster and exact, unless they are float64.
    return (as_float32(vectors) if vectors.dtype == np.float16 else vectors).astype(np.float64, copy=False)
