"""Read rows of stored embeddings as float32 of length 1, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

#: Rows read at a time: 16 MB of 512 dimensions in float32.
BLOCK = 8192


def unit_blocks(vectors: Matrix, rows: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index of each block's first row and the block, scaled by `unit`.

    Raises:
        InputError: as `unit`.
    """
    for start in range(0, vectors.shape[0], rows):
        yield start, unit(vectors[start : start + rows], start)


def unit_at(vectors: Matrix, rows: np.ndarray) -> np.ndarray:
    """Return rows by index (int64 [m]), scaled by `unit`.

    Raises:
        InputError: as `unit`.
    """
    return unit(vectors[rows], rows)


def unit(block: np.ndarray, indices: int | np.ndarray) -> np.ndarray:
    """Scale rows to length 1; lengths of vectors stored in float16 are off by up to 5e-4.

    Args:
        block: [m, d] of any float dtype.
        indices: the index of the first row, or of every row, for the message.

    Returns:
        float32 [m, d], contiguous.

    Raises:
        InputError: a row is not finite, or all zero.
    """
    wide = np.ascontiguousarray(as_float32(block))
    if isinstance(indices, int):
        check_matrix(wide, indices)
        first = indices
    else:
        bad = np.flatnonzero(~np.isfinite(np.einsum("nd,nd->n", wide, wide)))
        if len(bad):
            check_matrix(wide[bad[0] : bad[0] + 1], int(indices[bad[0]]))
        first = 0
    length = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    if length.size and not length.min() > 0:
        row = int(np.argmin(length > 0))
        row = int(indices[row]) if isinstance(indices, np.ndarray) else first + row
        raise InputError(f"vector {row} is all zero and has no direction: embed its image again, or leave it out")
    scaled: np.ndarray = wide * (1 / length)[:, np.newaxis]
    return scaled
