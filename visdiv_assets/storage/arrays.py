"""Matrices in several files, read as one without concatenating them in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class StackedArray:
    """Matrices of equal width and dtype, stacked by rows; slices and selected rows are copied on access.

    Attributes:
        parts: the matrices that have rows.
        shape: (rows, columns) of the stack.
        dtype: dtype of the elements.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        """Stack matrices [n_i, d]; they may be memory-mapped and are not read here."""
        self.parts = [part for part in parts if len(part)]
        if not self.parts:
            width = parts[0].shape[1] if parts else 0
            self.parts = [np.empty((0, width), dtype=parts[0].dtype if parts else np.float16)]
        self._starts = np.cumsum([0, *(len(part) for part in self.parts)])
        self.shape: tuple[int, int] = (int(self._starts[-1]), int(self.parts[0].shape[1]))
        self.dtype = self.parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self, rows: int = 16_384) -> Iterator[np.ndarray]:
        """Yield all rows in blocks [<= rows, columns], in order."""
        for start in range(0, len(self), rows):
            yield self[start : start + rows]

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        """Return rows by slice (step 1) or by an array of row indices: a copy [m, d], or a view if one part has all."""
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            pieces = [
                part[max(start - first, 0) : stop - first]
                for part, first in zip(self.parts, self._starts[:-1], strict=True)
                if first < stop and first + len(part) > start
            ]
            if len(pieces) == 1:
                return pieces[0]
            return np.concatenate(pieces) if pieces else self.parts[0][:0]
        rows = np.asarray(key)
        out = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        owner = np.searchsorted(self._starts, rows, side="right") - 1
        for index in np.unique(owner):
            chosen = owner == index
            out[chosen] = self.parts[index][rows[chosen] - self._starts[index]]
        return out


class RowsOf:
    """Selected rows of a matrix, in any order, read on access.

    Attributes:
        shape: (number of selected rows, columns).
    """

    def __init__(self, matrix: StackedArray | RowsOf, rows: np.ndarray) -> None:
        """Select rows by index, int64 [n]."""
        self._matrix = matrix
        self._rows = rows
        self.shape: tuple[int, int] = (len(rows), matrix.shape[1])

    def __getitem__(self, key: slice | np.ndarray) -> np.ndarray:
        """Return a copy of some selected rows, by slice or by array of indices."""
        return self._matrix[self._rows[key]]
