"""Split a join into blocks of rows, each a unit of work, and merge their results.

One join finds the pairs for two uses: candidates from a low floor on, and close pairs from a high one on
(`partner_lists`). A block of a self-join compares its rows with themselves and with all later rows. The K best partners
of a row are among the K best of the blocks, so that the merged result does not depend on how the rows were split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.bounded_tiles import bounded_tiles, pays_to_project, project
from visdiv_assets.vectors.join import count_partners, rescore
from visdiv_assets.vectors.lru import LruCache
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import MARGIN
from visdiv_assets.vectors.partner_lists import PartnerLists, PartnerRule, offer_tile
from visdiv_assets.vectors.projected import Projected
from visdiv_assets.vectors.tiles import Tiles
from visdiv_assets.vectors.top_k import Entries, SparseBestPartners

#: Approximate number of pairs of a block: about a minute on two cores if all are multiplied in full. Sets of up to
#: 92,682 images are one block.
PAIRS_OF_A_BLOCK = 1 << 32

#: Blocks begin at multiples of this, a whole number of tiles of every kind.
ROWS_OF_A_BLOCK = 8192

BEST_SCHEMA = pa.schema([("row", pa.int64()), ("partner", pa.int64()), ("similarity", pa.float32())])


@dataclass(frozen=True)
class Part:
    """The result of one block.

    Attributes:
        candidates: table of `BEST_SCHEMA`: the best partners of each row from the low floor on, with similarities as
            the tiles compute them. In a join of two sets, `row` is always a left row.
        close: the same from the high floor on.
        counts: table of row and one int64 column per threshold, the number of the row's partners; only rows that have
            any.
    """

    candidates: pa.Table
    close: pa.Table
    counts: pa.Table


@dataclass(frozen=True)
class Partners:
    """The merged result of all blocks.

    Attributes:
        candidates: table of `join.PAIR_SCHEMA`: the pairs that are among the K best of one of their rows from the low
            floor on.
        close: the same from the high floor on, with the K of close pairs.
        counts: int64 [thresholds, rows], the number of all partners of each left row.
    """

    candidates: pa.Table
    close: pa.Table
    counts: np.ndarray


@dataclass(frozen=True)
class OtherSide:
    """The right rows of a join of two sets.

    A left row also keeps its best close partner in each group, and a right row its best candidate and close partner.

    Attributes:
        vectors: unit vectors [m, d].
        groups: int32 [m], from 0, the group of each.
    """

    vectors: Matrix
    groups: np.ndarray
    _projected: LruCache[Projected] = field(default_factory=lambda: LruCache(1), repr=False, compare=False)

    def projected(self, floor: float, device: str) -> Projected | None:
        """Return projections for all joins from a floor on; None if the set is too small for them."""
        rows = self.vectors.shape[0]
        if not pays_to_project(rows * rows // 2, device):
            return None
        return self._projected.get((floor, device), lambda: project(self.vectors, self.vectors, floor, device))


@dataclass(frozen=True)
class Known:
    """Similarities that K candidates of each row reach in the blocks that a process has joined.

    Later blocks then compute and keep fewer partners; the merged result is the same.

    Attributes:
        left: float32 [n].
        right: float32 [m]; in a self-join the same array.
    """

    left: np.ndarray
    right: np.ndarray

    @classmethod
    def nothing(cls, rows: int, others: int | None) -> Known:
        """Return what is known before the first block; `others` is None in a self-join."""
        left = np.full(rows, -np.inf, np.float32)
        return cls(left, left if others is None else np.full(others, -np.inf, np.float32))


def split_into_blocks(rows: int, others: int | None = None) -> list[tuple[int, int]]:
    """Return the first row of each block of a join and the row after its last; one block if the sets are small.

    Args:
        rows: number of rows, or of left rows.
        others: number of right rows; None for a self-join.
    """

    def pairs_before(row: int) -> int:
        return row * others if others is not None else pairs - (rows - row) * (rows - row - 1) // 2

    pairs = rows * (rows - 1) // 2 if others is None else rows * others
    if not pairs:
        return [(0, rows)] if rows else []
    each = pairs / max(-(-pairs // PAIRS_OF_A_BLOCK), 1)
    found: list[tuple[int, int]] = []
    start = 0
    for first in range(0, rows, ROWS_OF_A_BLOCK):
        end = min(first + ROWS_OF_A_BLOCK, rows)
        if end == rows or pairs_before(end) >= each * (len(found) + 1):
            found.append((start, end))
            start = end
    return found


def block_tiles(vectors: Matrix, other: OtherSide | None, rule: PartnerRule, *, device: str) -> Tiles:
    """Return tiles for all blocks of a join, so that vectors are projected once. Arguments as `compute_part`."""
    rows = vectors.shape[0]
    left = np.full(rows, rule.floor, np.float32)
    return bounded_tiles(
        vectors,
        other.vectors if other else None,
        (left, np.full(other.vectors.shape[0], rule.floor, np.float32) if other else left),
        projected=other.projected(rule.floor, device) if other and rows else None,
        device=device,
    )


def compute_part(
    vectors: Matrix,
    other: OtherSide | None,
    block: tuple[int, int],
    rule: PartnerRule,
    *,
    tiles: Tiles | None = None,
    known: Known | None = None,
    count_at: Sequence[float] = (),
    device: str = "cpu",
    progress: Progress = silent,
) -> Part:
    """Join the rows of a block with another set, or with themselves and all later rows.

    Args:
        vectors: unit vectors [n, d].
        other: another set; None for a self-join.
        block: one of `split_into_blocks`.
        rule: which partners are kept.
        tiles: those of `block_tiles`, if there are other blocks.
        known: what other blocks have found, raised by what this one finds. Without it, the part depends on the block
            only.
        count_at: thresholds of at least `rule.close_floor` at which partners are counted; in a self-join only.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of the block's rows finished.

    Raises:
        InputError: a vector is not finite.
    """
    rows = vectors.shape[0]
    left = PartnerLists(rows, rule, groups=other.groups if other else None)
    right = PartnerLists(other.vectors.shape[0], _only_best(rule)) if other else left
    known = known or Known.nothing(rows, other.vectors.shape[0] if other else None)
    np.maximum(left.bounds, np.minimum(known.left, rule.close_floor), out=left.bounds)
    np.maximum(right.bounds, np.minimum(known.right, rule.close_floor), out=right.bounds)
    counts = np.zeros((len(count_at), rows), np.int64)
    tiles = tiles or block_tiles(vectors, other, rule, device=device)
    for tile in tiles.with_bounds((left.bounds, right.bounds)).between(*block):
        count_partners(counts, counts, tile, count_at)
        offer_tile(tile, left, right)
        progress(tile.rows_done)
    counted = np.flatnonzero(counts.any(axis=0))
    columns = {f"count_{index}": of_threshold[counted] for index, of_threshold in enumerate(counts)}
    candidates, close = [_reaching(left.candidates(), left.bounds)], [left.close()]
    known.left[:] = left.bounds
    if other:
        candidates.append(_turned(_reaching(right.candidates(), right.bounds)))
        known.right[:] = right.bounds
        close += [left.best_of_groups(), _turned(right.close())]
    return Part(_best_table(candidates), _best_table(close), pa.table({"row": counted, **columns}))


def merge_parts(
    vectors: Matrix, other: OtherSide | None, parts: Iterable[Part], rule: PartnerRule, *, thresholds: int = 0
) -> Partners:
    """Merge the parts of all blocks; the result is the same for all ways to split the rows.

    Args:
        vectors: as the parts were computed with.
        other: as the parts were computed with.
        parts: results of all blocks.
        rule: as the parts were computed with.
        thresholds: number of thresholds that partners were counted at.
    """
    counts = np.zeros((thresholds, vectors.shape[0]), np.int64)
    groups = other.groups if other else None
    candidates, close = _Merged(rule.k_best, None, other), _Merged(rule.close_k_best, groups, other)
    for part in parts:
        candidates.add(part.candidates)
        close.add(part.close)
        row = part.counts["row"].to_numpy()
        for index in range(thresholds):
            counts[index, row] += part.counts[f"count_{index}"].to_numpy()
    right = other.vectors if other else vectors
    return Partners(
        rescore(vectors, right, candidates.pairs(), rule.floor, within=other is None),
        rescore(vectors, right, close.pairs(), rule.close_floor, within=other is None),
        counts,
    )


class _Merged:
    """The best partners of all blocks: of left rows, of left rows in each group, and of right rows."""

    def __init__(self, k: int, groups: np.ndarray | None, other: OtherSide | None) -> None:
        self._left, self._of_group, self._right = SparseBestPartners(k), SparseBestPartners(1), SparseBestPartners(1)
        self._groups = groups
        self._number = int(groups.max(initial=-1)) + 1 if groups is not None else 1
        self._crosses = other is not None

    def add(self, found: pa.Table) -> None:
        """Add the partners that a block has found: table of `BEST_SCHEMA`."""
        row, partner, similarity = (found[name].to_numpy() for name in BEST_SCHEMA.names)
        self._left.offer(row, partner, similarity)
        if self._crosses:
            self._right.offer(partner, row, similarity)
        if self._groups is not None:
            self._of_group.offer(row * self._number + self._groups[partner], partner, similarity)

    def pairs(self) -> list[np.ndarray]:
        """Return pairs of a left row and a partner: arrays int64 [2, p], in which a pair may occur more than once."""
        left, (key, partner, _), right = self._left.kept(), self._of_group.kept(), _turned(self._right.kept())
        return [np.stack(left[:2]), np.stack([key // self._number, partner]), np.stack(right[:2])]


def _only_best(rule: PartnerRule) -> PartnerRule:
    """Return the rule with the best partner only."""
    return PartnerRule(rule.floor, 1, rule.close_floor, 1)


def _reaching(entries: Entries, bounds: np.ndarray) -> Entries:
    """Return the entries that reach the bounds of their rows; the others are not among the K best of all blocks."""
    rows, partners, similarity = entries
    kept = similarity >= bounds[rows] - np.float32(MARGIN)
    return rows[kept], partners[kept], similarity[kept]


def _turned(entries: Entries) -> Entries:
    """Return entries with rows and partners exchanged."""
    rows, partners, similarity = entries
    return partners, rows, similarity


def _best_table(parts: list[Entries]) -> pa.Table:
    """Return entries as one table of `BEST_SCHEMA`."""
    return pa.table([np.concatenate(column) for column in zip(*parts, strict=True)], schema=BEST_SCHEMA)
