"""What a join reads."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from visdiv_assets.errors import VisdivError


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
        VisdivError: one of them is not finite.
    """
    block = np.ascontiguousarray(vectors[start : start + rows], dtype=np.float32)
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        raise VisdivError(f"vector {start + int(np.argmin(finite))} is not finite: embed its picture again")
    return block
