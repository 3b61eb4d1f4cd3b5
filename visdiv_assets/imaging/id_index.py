"""Look up rows by image_id or text_id, and collect such ids.

This module sits beside `identity`, so that every room from `embedding` on can import it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: An id as its 32 hex characters: Arrow strings, or a NumPy array of "S32".
Ids: TypeAlias = np.ndarray | pa.Array | pa.ChunkedArray


class IdIndex:
    """A map from ids to the rows of a table or matrix, as a sorted array: 40 bytes per id."""

    def __init__(self, ids: Ids) -> None:
        """Index ids [n] in row order. Of equal ids the first row counts."""
        plain = _as_bytes(ids)
        self._order = np.argsort(plain, kind="stable")
        self._ids = plain[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    def rows(self, ids: Ids) -> np.ndarray:
        """Return the row of each id [m] as int64 [m]; -1 for null and for an id that is not indexed."""
        if not len(self._ids):
            return np.full(len(ids), -1, np.int64)
        wanted = _as_bytes(ids)
        index = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        return np.where(self._ids[index] == wanted, self._order[index], -1)


class IdSet:
    """A growing set of ids as a sorted array: 32 bytes per id."""

    def __init__(self) -> None:
        """Start empty."""
        self._ids = np.empty(0, "S32")

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids) -> None:
        """Add ids that are new, each once."""
        # A stable sort merges two sorted arrays in one pass.
        self._ids = np.sort(np.concatenate([self._ids, np.sort(_as_bytes(ids))]), kind="stable")

    def holds(self, ids: Ids) -> np.ndarray:
        """Return which of some ids [n] were added: bool [n]."""
        wanted = _as_bytes(ids)
        if not len(self._ids):
            return np.zeros(len(wanted), bool)
        # Not an `IdIndex`: ids are added part by part, and their rows do not matter.
        index = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        found: np.ndarray = self._ids[index] == wanted
        return found


def _as_bytes(ids: Ids) -> np.ndarray:
    if not isinstance(ids, np.ndarray):
        # No id is empty, so a null is found nowhere.
        ids = pc.fill_null(ids, "").to_numpy(zero_copy_only=False)
    plain: np.ndarray = ids.astype("S32", copy=False)
    return plain
