"""From identities to the numbers of their vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class IdIndex:
    """The numbers of vectors by their identity, an image_id or text_id of 32 hex characters; 40 bytes each."""

    def __init__(self, ids: pa.Array | pa.ChunkedArray) -> None:
        """Index identities, string [n], each once, in the order of the vectors."""
        plain = ids.to_numpy(zero_copy_only=False).astype("S32")
        self._order = np.argsort(plain)
        self._ids = plain[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, ids: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """The number of each identity, string [m]: int64 [m], -1 for null and for one that has no vector."""
        if not len(self._ids):
            return np.full(len(ids), -1, np.int64)
        # No identity is empty, so what is null is found nowhere.
        wanted = pc.fill_null(ids, "").to_numpy(zero_copy_only=False).astype("S32")
        place = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        return np.where(self._ids[place] == wanted, self._order[place], -1)
