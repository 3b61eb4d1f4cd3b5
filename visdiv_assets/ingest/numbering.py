"""Numbers for the different images of a shard."""

from __future__ import annotations

import numpy as np

#: Ids that are kept in a dict, at 150 bytes each, before they are merged into the sorted array.
MIN_RECENT = 1 << 14


class Numbering:
    """Numbers image_ids in order of first occurrence; it takes 40 bytes per id, which a dict does not."""

    def __init__(self) -> None:
        """Begin without ids."""
        self._ids = np.empty(0, "S32")
        self._numbers = np.empty(0, np.int64)
        self._recent: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._ids) + len(self._recent)

    def number(self, image_id: str) -> tuple[int, bool]:
        """Return the number of an image_id, and whether it is new."""
        known = self._recent.get(image_id)
        if known is None and len(self._ids):
            name = image_id.encode()
            index = int(np.searchsorted(self._ids, name))
            if index < len(self._ids) and self._ids[index] == name:
                known = int(self._numbers[index])
        if known is not None:
            return known, False
        number = len(self)
        self._recent[image_id] = number
        # The array grows by a share of its size, so that all merges together take time in proportion to it.
        if len(self._recent) >= max(MIN_RECENT, len(self._ids) // 4):
            self._merge()
        return number, True

    def _merge(self) -> None:
        ids = np.concatenate([self._ids, np.array(list(self._recent), "S32")])
        numbers = np.concatenate([self._numbers, np.fromiter(self._recent.values(), np.int64)])
        order = np.argsort(ids, kind="stable")
        self._ids, self._numbers, self._recent = ids[order], numbers[order], {}
