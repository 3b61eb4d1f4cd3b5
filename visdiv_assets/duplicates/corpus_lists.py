"""Lists of the best partners of every image of a corpus, as sorted keys, in memory linear in the number of images.

A key holds a similarity, a partner and whether the two images share a subset. Of two keys, the higher one has the
higher similarity, or of equal similarities the partner with the lower image_id. Keys have no ties, so that the best of
a list do not depend on the order in which they are found.
"""

from __future__ import annotations

import tempfile

import numpy as np

from visdiv_assets.vectors.top_k import runs

#: Largest array that is kept in memory; a larger one is memory-mapped from a temporary file (`TMPDIR`).
MAX_BYTES_IN_MEMORY = 1 << 30
#: Rows merged at a time.
CHUNK = 1 << 16
#: Shared levels collected before they are merged: 8 bytes each.
MAX_WAITING_LEVELS = 1 << 22

#: The highest partner that a key can hold; a similarity with this partner is under all others with the similarity.
LAST_PARTNER = (1 << 31) - 1

_SIGN = np.uint32(1 << 31)


def make_keys(similarity: np.ndarray, partner: np.ndarray, *, own: bool = False) -> np.ndarray:
    """Return the keys of partners.

    Args:
        similarity: float32 [m].
        partner: int64 [m], indices of images, less than 2^31; -1 is better than all.
        own: whether the partners are in a subset of the image.

    Returns:
        uint64 [m], never 0.
    """
    place = (LAST_PARTNER - partner.astype(np.int64)) << 1 | int(own)
    return lowest_keys(similarity) + place.astype(np.uint64)


def lowest_keys(similarity: np.ndarray) -> np.ndarray:
    """Return the keys under those of all partners with the given similarities, and over all others: uint64 [m]."""
    bits = np.ascontiguousarray(similarity, np.float32).view(np.uint32)
    # Makes the order of the bits that of the numbers.
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return ordered.astype(np.uint64) << np.uint64(32)


def similarity_of(keys: np.ndarray) -> np.ndarray:
    """Return the similarity in each key: float32 [m]; NaN for an empty entry."""
    ordered = (keys >> np.uint64(32)).astype(np.uint32)
    values: np.ndarray = np.where(ordered & _SIGN, ordered & ~_SIGN, ~ordered).astype(np.uint32).view(np.float32)
    return values


def partner_of(keys: np.ndarray) -> np.ndarray:
    """Return the partner in each key: int64 [m]."""
    place = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return LAST_PARTNER - (place >> 1)


def is_own(keys: np.ndarray) -> np.ndarray:
    """Return whether the partner in each key is in a subset of the image: bool [m]."""
    own: np.ndarray = (keys & np.uint64(1)) != 0
    return own


def scratch_array(shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """Return an array of zeros, memory-mapped if it is large."""
    if np.prod(shape, dtype=np.int64) * np.dtype(dtype).itemsize <= MAX_BYTES_IN_MEMORY:
        return np.zeros(shape, dtype)
    # The file has no name and is gone with the array. Pages that nothing is written to take no space.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


class BestKeys:
    """The K best keys of each row.

    Attributes:
        k: number of keys of a row.
        keys: uint64 [n, K], ascending in each row; 0 for none.
        limit: uint64 [n], what a key of the row must at least be, whatever the number of its keys.
        lowest: uint64 [n], what a key must at least be to enter the row's list.
    """

    def __init__(self, limit: np.ndarray, k: int) -> None:
        """Begin with empty lists; `limit` is uint64 [n]."""
        self.k = k
        self.limit = limit
        self.lowest = limit.copy()
        self.keys = scratch_array((len(limit), k), np.uint64)

    def raise_limit(self, rows: np.ndarray, limit: np.ndarray) -> None:
        """Raise what the keys of some rows must at least be: int64 [m], uint64 [m]."""
        self.limit[rows] = np.maximum(self.limit[rows], limit)
        self.lowest[rows] = np.maximum(self.lowest[rows], limit)

    def fill(self, rows: np.ndarray, keys: np.ndarray) -> None:
        """Set the lists of rows whose lists are empty: int64 [m] ascending, uint64 [m] ascending in each row."""
        first, counts = runs(rows)
        place = np.arange(len(rows)) - np.repeat(first + counts, counts) + self.k
        self.keys[rows, place] = keys
        touched = rows[first]
        self.lowest[touched] = np.maximum(self.limit[touched], self.keys[touched, 0])

    def merge(self, rows: np.ndarray, keys: np.ndarray) -> np.ndarray:
        """Add keys to the lists of rows, int64 [m] and uint64 [m] in any order; a key that is there changes nothing.

        Returns:
            the rows whose lists may have changed, int64, ascending.
        """
        entering = keys >= self.lowest[rows]
        rows, keys = rows[entering], keys[entering]
        order = np.lexsort((keys, rows))
        rows, keys = rows[order], keys[order]
        # A key that is offered twice at once must not take the place of another.
        once = (np.diff(rows, prepend=-1) != 0) | (np.diff(keys, prepend=np.uint64(0)) != 0)
        rows, keys = rows[once], keys[once]
        first, counts = runs(rows)
        touched: np.ndarray = rows[first]
        from_last = np.repeat(first + counts, counts) - 1 - np.arange(len(rows))
        for start in range(0, len(touched), CHUNK):
            chosen = touched[start : start + CHUNK]
            begin = first[start]
            end = first[start + CHUNK] if start + CHUNK < len(first) else len(rows)
            rank = from_last[begin:end]
            best = rank < self.k
            new = np.zeros((len(chosen), min(int(rank.max()) + 1, self.k)), np.uint64)
            owner = np.repeat(np.arange(len(chosen)), counts[start : start + CHUNK])
            new[owner[best], rank[best]] = keys[begin:end][best]
            merged = np.sort(np.concatenate([self.keys[chosen], new], axis=1), axis=1)
            repeated = (merged[:, 1:] == merged[:, :-1]) & (merged[:, 1:] > 0)
            if repeated.any():
                merged[:, 1:][repeated] = 0
                merged.sort(axis=1)
            self.keys[chosen] = merged[:, -self.k :]
            self.lowest[chosen] = np.maximum(self.lowest[chosen], merged[:, -self.k])
        return touched

    def entries(self, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys of the rows in [start, stop) as row int64 [m] and key uint64 [m], ascending."""
        lists = self.keys[start:stop]
        row, place = np.nonzero(lists)
        return row + start, lists[row, place]


class SharedLevels:
    """For images and other subsets, how many thresholds the best similarity to an image of the subset reaches."""

    def __init__(self, subsets: int) -> None:
        """Begin without any."""
        self._subsets = max(subsets, 1)
        self._known = np.empty(0, np.int64)
        self._waiting: list[np.ndarray] = []

    def add(self, image: np.ndarray, subset: np.ndarray, level: np.ndarray) -> None:
        """Add levels of images, int64 [m], in subsets, int64 [m]; the highest of an image in a subset counts."""
        self._waiting.append((image * self._subsets + subset) << 7 | level)
        if sum(map(len, self._waiting)) > max(len(self._known), MAX_WAITING_LEVELS):
            self._merge()

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return image int64 [m], subset int64 [m] and level int64 [m], sorted by image and subset, each once."""
        self._merge()
        place, level = self._known >> 7, self._known & 127
        return place // self._subsets, place % self._subsets, level

    def _merge(self) -> None:
        together = np.sort(np.concatenate([self._known, *self._waiting]))
        last = np.diff(together >> 7, append=-1) != 0
        self._known, self._waiting = together[last], []
