"""Collect the K best partners of every row during a join, in memory linear in the number of rows.

Entries are merged by sorting one integer for each, which holds its row, its similarity and its partner: the order of
the offers has no influence on what is kept, and an entry offered again has no effect.
"""

from __future__ import annotations

import numpy as np

#: Entries collected before they are merged. More save time; fewer raise the bounds earlier.
MAX_WAITING = 1 << 16
#: Similarities count as multiples of 2^-20 from -2 to 2, as `tiles.round_products` rounds them.
SIMILARITY_BITS = 22
STEPS_OF_ONE = 1 << 20

#: Rows int64, partners int64 and similarities float32, each [m].
Entries = tuple[np.ndarray, np.ndarray, np.ndarray]


class BestPartners:
    """The K partners of highest similarity of each row; among equals, those with the lowest index.

    Attributes:
        k: partners kept of each row.
        bounds: float32 [rows], the K-th best similarity of each row so far, but at least `floor` and at most `cap`. It
            is changed in place, so that `bounded_tiles` sees a raised bound.
    """

    def __init__(self, rows: int, k: int, *, floor: float = -np.inf, cap: float = np.inf) -> None:
        """Allocate rows x K entries of 8 bytes.

        Args:
            rows: number of rows.
            k: partners kept of each row; their indices are less than 2^31.
            floor: smallest value of `bounds`.
            cap: largest value of `bounds`.
        """
        self.k = k
        self.bounds = np.full(rows, floor, np.float32)
        self._cap = np.float32(cap)
        self._similarity = np.full((rows, k), -np.inf, np.float32)
        self._partner = np.full((rows, k), -1, np.int32)
        self._waiting: list[Entries] = []
        self._waiting_count = 0

    def offer(self, rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        """Offer one partner to each of the rows: three arrays [m], in any order."""
        # The K-th best only rises, so what is under it can be dropped now: in a clique nearly all are.
        last = self._partner[rows, -1], self._similarity[rows, -1]
        chosen = np.flatnonzero(_are_better((partners, similarity), last))
        if len(chosen):
            self._waiting.append((rows[chosen], partners[chosen], similarity[chosen]))
            self._waiting_count += len(chosen)
            if self._waiting_count >= MAX_WAITING:
                self._merge()

    def _merge(self) -> None:
        """Merge what is waiting, and raise the bounds."""
        if not self._waiting:
            return
        rows, partners, similarity = _concatenate(self._waiting)
        self._waiting, self._waiting_count = [], 0
        first, span = int(rows.min()), int(np.ptp(rows)) + 1
        if span <= 2 * len(rows):
            touched, local = np.arange(first, first + span), rows - first
        else:
            touched, local = np.unique(rows, return_inverse=True)
        old_partner, old_similarity = self._partner[touched], self._similarity[touched]
        row, rank = np.nonzero(old_partner >= 0)
        old = row, old_partner[row, rank].astype(np.int64), old_similarity[row, rank]
        local, partners, similarity, rank = select_best(_concatenate([old, (local, partners, similarity)]), self.k)
        old_partner.fill(-1)
        old_similarity.fill(-np.inf)
        old_partner[local, rank], old_similarity[local, rank] = partners, similarity
        self._partner[touched], self._similarity[touched] = old_partner, old_similarity
        self.bounds[touched] = np.minimum(np.maximum(self.bounds[touched], old_similarity[:, -1]), self._cap)

    def pairs(self) -> np.ndarray:
        """Return all kept pairs (row, partner): int64 [2, m]."""
        return np.stack(self.kept()[:2])

    def kept(self) -> Entries:
        """Return all kept entries, by row and rank."""
        self._merge()
        row, rank = np.nonzero(self._partner >= 0)
        return row, self._partner[row, rank].astype(np.int64), self._similarity[row, rank]


class SparseBestPartners:
    """As `BestPartners`, for keys of which most have no partner: it needs memory for the kept entries only."""

    def __init__(self, k: int) -> None:
        """Set the number of partners kept of each key, an integer of at least 0."""
        self.k = k
        self._kept = _concatenate([])
        #: The K-th best entry of each key that has K, by key.
        self._last = _concatenate([])
        self._waiting: list[Entries] = []
        self._waiting_count = 0

    def offer(self, keys: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        """Offer one partner to each of the keys: three arrays [m], in any order."""
        if len(self._last[0]):
            chosen = self._better_than_last(keys, partners, similarity)
            keys, partners, similarity = keys[chosen], partners[chosen], similarity[chosen]
        if len(keys):
            self._waiting.append((keys, partners, similarity))
            self._waiting_count += len(keys)
            if self._waiting_count >= max(MAX_WAITING, len(self._kept[0])):
                self.kept()

    def kept(self) -> Entries:
        """Return all kept entries, by key and rank."""
        if self._waiting:
            keys, partners, similarity = _concatenate([self._kept, *self._waiting])
            self._waiting, self._waiting_count = [], 0
            different, local = np.unique(keys, return_inverse=True)
            local, partners, similarity, rank = select_best((local, partners, similarity), self.k)
            self._kept = keys, partners, similarity = different[local], partners, similarity
            last = np.flatnonzero(rank == self.k - 1)
            self._last = keys[last], partners[last], similarity[last]
        return self._kept

    def _better_than_last(self, keys: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Return which entries are not worse than the K kept ones of their key: in a clique few are. int64 [chosen]."""
        full, last_partner, last_similarity = self._last
        at = np.minimum(np.searchsorted(full, keys), len(full) - 1)
        better = _are_better((partners, similarity), (last_partner[at], last_similarity[at]))
        return np.flatnonzero(better | (full[at] != keys))


def _are_better(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return which of one side's partners and similarities [m] come before those of the other, bool [m]."""
    better: np.ndarray = (one[1] > other[1]) | (one[1] == other[1]) & (one[0] < other[0])
    return better


def select_best(entries: Entries, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the K best entries of each row, each once, by row, descending similarity and partner.

    Args:
        entries: rows and partners of at least 0; rows are best consecutive, since their number decides the cost.
        k: entries kept of each row.

    Returns:
        rows int64, partners int64, similarities float32 and ranks int64 from 0, each [m].
    """
    rows, partners, similarity = entries
    partner_bits = int(partners.max(initial=0)).bit_length()
    step = 1 << (64 - SIMILARITY_BITS - partner_bits)
    stop = int(rows.max(initial=-1)) + 1
    parts = [(*_concatenate([]), np.empty(0, np.int64))]
    for start in range(0, stop, step):
        chosen = slice(None) if stop <= step else (rows >= start) & (rows < start + step)
        found = _select(rows[chosen] - start, partners[chosen], similarity[chosen], k, partner_bits)
        parts.append((found[0] + start, *found[1:]))
    row, partner, value, rank = (np.concatenate(column) for column in zip(*parts, strict=True))
    return row, partner, value, rank


def _select(
    rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray, k: int, partner_bits: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Do the work of `select_best` on rows whose keys fit in 64 bits."""
    distance = 2 * STEPS_OF_ONE - np.rint(similarity * np.float32(STEPS_OF_ONE)).astype(np.int64)
    distance = np.clip(distance, 0, (1 << SIMILARITY_BITS) - 1)
    keys = (((rows << SIMILARITY_BITS) | distance) << partner_bits | partners).astype(np.uint64)
    # NumPy sorts integers several times as fast as it sorts indices.
    keys.sort()
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    row = (keys >> np.uint64(SIMILARITY_BITS + partner_bits)).astype(np.int64)
    rank = np.arange(len(row)) - np.repeat(*runs(row))
    best = np.flatnonzero(rank < k)
    keys = keys[best].astype(np.int64)
    distance = (keys >> partner_bits) & ((1 << SIMILARITY_BITS) - 1)
    value = ((2 * STEPS_OF_ONE - distance) / STEPS_OF_ONE).astype(np.float32)
    return row[best], keys & ((1 << partner_bits) - 1), value, rank[best]


def runs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each run of equal rows begins, and its length: int64 [runs] each, of rows [m] of at least 0."""
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    return first, np.diff(first, append=len(rows))


def _concatenate(parts: list[Entries]) -> Entries:
    empty = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    rows, partners, similarity = (np.concatenate(column) for column in zip(empty, *parts, strict=True))
    return rows, partners, similarity
