"""Collect the K best partners of every vector during a join, in memory linear in the number of vectors."""

from __future__ import annotations

import numpy as np

#: Partners merged at a time: after the first few chunks, the K-th best filters out nearly all others without sorting.
CHUNK = 256


class BestPartners:
    """The K partners of highest similarity of each row. Of equal partners, those offered first are kept.

    A join offers partners in ascending order, so that among equals the lowest row indices are kept.
    """

    def __init__(self, rows: int, k: int) -> None:
        """Allocate rows x K entries of 12 bytes."""
        self.k = k
        self._similarity = np.full((rows, k), -np.inf, np.float32)
        self._partner = np.full((rows, k), -1, np.int64)

    def offer(self, rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        """Offer one partner to each of the rows: three arrays [m], in any order."""
        # A row's K-th best only rises, so a partner under it can be dropped now: in a clique nearly all are.
        reaching = similarity > self._similarity[rows, -1]
        if not reaching.any():
            return
        rows, partners, similarity = rows[reaching], partners[reaching], similarity[reaching]
        chunk = partners // CHUNK
        for each in np.unique(chunk):
            chosen = np.flatnonzero((chunk == each) & (similarity > self._similarity[rows, -1]))
            if len(chosen):
                self._merge(rows[chosen], partners[chosen], similarity[chosen])

    def offer_both(self, a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> None:
        """Offer both rows of each pair of a self-join to each other: three arrays [m].

        Both directions in one call, since partners must be offered in ascending order within a tile, too.
        """
        self.offer(np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([similarity] * 2))

    def _merge(self, rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        touched = np.unique(rows)
        all_rows = np.concatenate([np.repeat(touched, self.k), rows])
        all_partners = np.concatenate([self._partner[touched].ravel(), partners])
        all_similarity = np.concatenate([self._similarity[touched].ravel(), similarity])
        order = np.lexsort((all_partners, -all_similarity, all_rows))
        sorted_rows = all_rows[order]
        starts = np.searchsorted(sorted_rows, touched)
        # Every touched row has at least K entries: its old ones.
        best = order[(starts[:, None] + np.arange(self.k)).ravel()]
        self._partner[touched] = all_partners[best].reshape(-1, self.k)
        self._similarity[touched] = all_similarity[best].reshape(-1, self.k)

    def pairs(self) -> np.ndarray:
        """Return all kept pairs (row, partner): int64 [2, m]."""
        return np.stack(self.kept()[:2])

    def kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows int64 [m], partners int64 [m] and similarities float32 [m] of all kept pairs."""
        row, rank = np.nonzero(self._partner >= 0)
        return row, self._partner[row, rank], self._similarity[row, rank]
