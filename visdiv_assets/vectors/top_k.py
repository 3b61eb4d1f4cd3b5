"""The K best partners of every vector, kept while a join runs, in memory linear in the vectors."""

from __future__ import annotations

import numpy as np

#: Partners offered at a time: after the first few the K-th best filters nearly all others out unsorted.
CHUNK = 256


class BestPartners:
    """For each of n rows the K partners of highest similarity; ties go to the partner that was offered first.

    A join offers partners in ascending order, so that ties go to the lowest row number.
    """

    def __init__(self, rows: int, k: int) -> None:
        """Reserve n x K places, 12 bytes each."""
        self.k = k
        self._similarity = np.full((rows, k), -np.inf, np.float32)
        self._partner = np.full((rows, k), -1, np.int64)

    def offer(self, rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        """Offer one partner to each of the rows: three arrays [m], in any order."""
        # A row's K-th best only rises, so what does not reach it now never will: in a clique that is nearly all.
        reaching = similarity > self._similarity[rows, -1]
        if not reaching.any():
            return
        rows, partners, similarity = rows[reaching], partners[reaching], similarity[reaching]
        chunk = partners // CHUNK
        for number in np.unique(chunk):
            chosen = np.flatnonzero((chunk == number) & (similarity > self._similarity[rows, -1]))
            if len(chosen):
                self._merge(rows[chosen], partners[chosen], similarity[chosen])

    def offer_both(self, a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> None:
        """Offer the two of each pair of a self-join to each other: three arrays [m].

        Both directions at once: within a tile, too, partners must be offered in ascending order.
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
        # Every touched row has at least K entries, its old ones.
        places = order[(starts[:, None] + np.arange(self.k)).ravel()]
        self._partner[touched] = all_partners[places].reshape(-1, self.k)
        self._similarity[touched] = all_similarity[places].reshape(-1, self.k)

    def pairs(self) -> np.ndarray:
        """(row, partner) of all that were kept: int64 [2, m]."""
        return np.stack(self.kept()[:2])

    def kept(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row int64 [m], partner int64 [m] and similarity float32 [m] of all that were kept."""
        row, place = np.nonzero(self._partner >= 0)
        return row, self._partner[row, place], self._similarity[row, place]
