"""Matrices of vectors: the interface, and blocks of rows as float32."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from visdiv_assets.errors import InputError
from visdiv_assets.extras import is_installed


class Matrix(Protocol):
    """A matrix whose rows can be read by slice or index: an array, a memory map or a `storage.arrays.StackedArray`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dimension)."""

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Return rows by slice or by an array of indices."""


def as_rows(vectors: ArrayLike | Matrix) -> Any:
    """Return vectors as an array, or unchanged if their rows can be read by slice or index already.

    Args:
        vectors: a list, an array, another `Matrix`, a torch tensor on any device (also of bfloat16, which becomes
            float32), or an object that NumPy takes as an array.
    """
    tensor: Any = vectors
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return vectors if hasattr(vectors, "shape") else np.asarray(vectors)


def read_block(vectors: Matrix, start: int, rows: int) -> np.ndarray:
    """Return the rows [start, start + rows) as contiguous float32.

    Raises:
        InputError: a vector is not finite.
    """
    return check_matrix(np.ascontiguousarray(vectors[start : start + rows], dtype=np.float32), start)


def check_matrix(block: np.ndarray, start: int) -> np.ndarray:
    """Return a block of rows unchanged if all are finite. `start` is the index of its first row.

    Raises:
        InputError: a vector is not finite.
    """
    # One number checks the whole block: NaN and infinity survive a sum of squares.
    if np.isfinite(np.vdot(block, block)):
        return block
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise InputError(f"vector {start + int(np.argmin(finite))} is not finite: embed its image again")
    return block


def as_float32(vectors: np.ndarray) -> np.ndarray:
    """Return vectors as float32.

    torch, if installed, widens float16 with the processor's instruction for it, 20 times as fast as NumPy. Both are
    exact.
    """
    if vectors.dtype != np.float16 or not is_installed("torch"):
        return vectors.astype(np.float32, copy=False)
    import torch

    # A copy, since torch warns about memory that is not writable.
    wide: np.ndarray = torch.from_numpy(vectors if vectors.flags.writeable else vectors.copy()).float().numpy()
    return wide
