"""The partners that one join keeps for several uses: few from a low floor on, many from a high one on.

The low floor gives candidates for verification, the high one close pairs. A row may also keep its best partner in each
group, such as a subset or a benchmark, so that counts per group stay exact whatever the number of partners kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visdiv_assets.vectors.pair_similarity import MARGIN
from visdiv_assets.vectors.tiles import Candidates
from visdiv_assets.vectors.top_k import BestPartners, Entries, SparseBestPartners


@dataclass(frozen=True)
class PartnerRule:
    """Which partners of a row are kept.

    Attributes:
        floor: smallest similarity of a candidate.
        k_best: candidates kept of each row.
        close_floor: smallest similarity of a close pair, at least `floor`.
        close_k_best: close partners kept of each row.
    """

    floor: float
    k_best: int
    close_floor: float
    close_k_best: int


class PartnerLists:
    """The kept partners of the rows of one side of a join.

    Attributes:
        bounds: float32 [rows], to be given to `bounded_tiles`: `close_floor`, or the K-th best candidate under it.
    """

    def __init__(self, rows: int, rule: PartnerRule, *, groups: np.ndarray | None = None) -> None:
        """Prepare lists.

        Args:
            rows: number of rows.
            rule: which partners are kept.
            groups: int32 [m], from 0: the group of each partner, if the best of each group is kept.
        """
        self.rule = rule
        self._candidates = BestPartners(rows, rule.k_best, floor=rule.floor, cap=rule.close_floor)
        self.bounds = self._candidates.bounds
        self._close = SparseBestPartners(rule.close_k_best)
        self._groups = groups
        self._number = int(groups.max(initial=-1)) + 1 if groups is not None else 0
        self._of_group = SparseBestPartners(1)

    def offer(self, rows: np.ndarray, partners: np.ndarray, similarity: np.ndarray) -> None:
        """Offer one partner to each of the rows: three arrays [m], in any order; see `BestPartners.offer`.

        Partners up to `MARGIN` under a floor are kept, as `join.rescore` expects.
        """
        reached = similarity >= np.float32(self.rule.floor - MARGIN)
        self._candidates.offer(rows[reached], partners[reached], similarity[reached])
        close = similarity >= np.float32(self.rule.close_floor - MARGIN)
        rows, partners, similarity = rows[close], partners[close], similarity[close]
        self._close.offer(rows, partners, similarity)
        if self._groups is not None:
            self._of_group.offer(rows * self._number + self._groups[partners], partners, similarity)

    def candidates(self) -> Entries:
        """Return the K best partners from the low floor on."""
        return self._candidates.kept()

    def close(self) -> Entries:
        """Return the K best partners from the high floor on."""
        return self._close.kept()

    def best_of_groups(self) -> Entries:
        """Return the best partner of each row in each group, from the high floor on; empty without groups."""
        keys, partners, similarity = self._of_group.kept()
        return keys // max(self._number, 1), partners, similarity


def offer_tile(tile: Candidates, left: PartnerLists, right: PartnerLists) -> None:
    """Offer the pairs of a tile to the lists of both sides; in a self-join, these are the same object."""
    left.offer(tile.left, tile.right, tile.similarity)
    right.offer(tile.right, tile.left, tile.similarity)
