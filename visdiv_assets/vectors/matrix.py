"""What a join reads."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from visdiv_assets.errors import InputError


class Matrix(Protocol):
    """Rows that can be sliced: an array, a memory map, or a `storage.arrays.StackedArray`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dimension)."""

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Rows by slice or by number."""


def read_block(vectors: Matrix, start: int, rows: int) -> np.ndarray:
    """Some rows as contiguous float32.

    Raises:
        InputError: one of them is not finite.
    """
    return check_matrix(np.ascontiguousarray(vectors[start : start + rows], dtype=np.float32), start)


def check_matrix(block: np.ndarray, start: int) -> np.ndarray:
    """The rows themselves, of which the first has the number `start`.

    Raises:
        InputError: one of them is not finite.
    """
    # One number tells of a whole block: NaN and infinity survive every sum of squares.
    if np.isfinite(np.vdot(block, block)):
        return block
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise InputError(f"vector {start + int(np.argmin(finite))} is not finite: embed its image again")
    return block


def as_float32(vectors: np.ndarray) -> np.ndarray:
    """Vectors as float32; torch widens float16 with the processor's instruction for it, NumPy 20 times as slowly."""
    import torch

    if vectors.dtype != np.float16:
        return vectors.astype(np.float32, copy=False)
    # A copy, since torch warns of memory that it may not write to.
    wide: np.ndarray = torch.from_numpy(vectors if vectors.flags.writeable else vectors.copy()).float().numpy()
    return wide
