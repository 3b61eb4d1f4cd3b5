"""Split a self-join into blocks of rows, each a unit of work, and merge their results.

A block compares its rows with themselves and with all later rows, and keeps the K best partners of each row. The K best
of all are among these, so that the merged result does not depend on how the rows were split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import Join, count_partners, rescore
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.projected_tiles import ProjectedTiles
from visdiv_assets.vectors.tiles import FullTiles
from visdiv_assets.vectors.top_k import BestPartners

#: Approximate number of pairs of a block: about a minute on two cores if all are multiplied in full. Sets of up to
#: 92,682 images are one block.
PAIRS_OF_A_BLOCK = 1 << 32

#: Blocks begin at multiples of this, a whole number of tiles of every kind.
ROWS_OF_A_BLOCK = 8192

#: Partners collected before all but the K best are dropped: 20 bytes each.
MAX_WAITING_ENTRIES = 1 << 24

BEST_SCHEMA = pa.schema([("row", pa.int64()), ("partner", pa.int64()), ("similarity", pa.float32())])


@dataclass(frozen=True)
class Part:
    """The result of one block.

    Attributes:
        best: table of `BEST_SCHEMA`: the K best partners of each row, with similarities as the tiles compute them.
        counts: table of row and one int64 column per threshold, the number of the row's partners; only rows that have
            any.
    """

    best: pa.Table
    counts: pa.Table


def split_into_blocks(rows: int) -> list[tuple[int, int]]:
    """Return the first row of each block of a self-join and the row after its last; one block if the set is small."""
    pairs = rows * (rows - 1) // 2
    each = pairs / max(-(-pairs // PAIRS_OF_A_BLOCK), 1)
    found: list[tuple[int, int]] = []
    start = 0
    for first in range(0, rows, ROWS_OF_A_BLOCK):
        end = min(first + ROWS_OF_A_BLOCK, rows)
        done = pairs - (rows - end) * (rows - end - 1) // 2
        if done >= each * (len(found) + 1) or end == rows:
            found.append((start, end))
            start = end
    return found


def compute_part(
    tiles: FullTiles | ProjectedTiles,
    block: tuple[int, int],
    rows: int,
    *,
    k_best: int,
    count_at: Sequence[float],
    progress: Progress = silent,
) -> Part:
    """Join the rows of a block with themselves and all later rows.

    Args:
        tiles: tiles of the self-join.
        block: one of `split_into_blocks`.
        rows: number of rows of the set.
        k_best: partners kept of each row.
        count_at: as in `join.join`.
        progress: called with the number of the block's rows finished.
    """
    start, stop = block
    best = BestPartners(rows - start, k_best)
    counts = np.zeros((len(count_at), rows - start), np.int64)
    for tile in tiles.between(start, stop):
        count_partners(counts, counts, tile, count_at, first_row=start)
        if len(tile.left):
            best.offer_both(tile.left - start, tile.right - start, tile.similarity)
        progress(tile.rows_done)
    row, partner, similarity = best.kept()
    counted = np.flatnonzero(counts.any(axis=0))
    columns = {f"count_{index}": of_threshold[counted] for index, of_threshold in enumerate(counts)}
    return Part(
        pa.table([row + start, partner + start, similarity], schema=BEST_SCHEMA),
        pa.table({"row": counted + start, **columns}),
    )


def merge_parts(vectors: Matrix, parts: Iterable[Part], threshold: float, *, k_best: int, thresholds: int) -> Join:
    """Merge the parts of all blocks into the result of `join.join`.

    Args:
        vectors: unit vectors [n, d].
        parts: results of all blocks, in order.
        threshold: smallest similarity of a pair.
        k_best: as the parts were computed with.
        thresholds: number of thresholds that partners were counted at.
    """
    counts = np.zeros((thresholds, vectors.shape[0]), np.int64)
    best = BEST_SCHEMA.empty_table()
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part.best)
        if sum(table.num_rows for table in waiting) > max(best.num_rows, MAX_WAITING_ENTRIES):
            best, waiting = _select_best([best, *waiting], k_best), []
        row = part.counts["row"].to_numpy()
        for index in range(thresholds):
            counts[index, row] += part.counts[f"count_{index}"].to_numpy()
    best = _select_best([best, *waiting], k_best)
    pairs = np.stack([best["row"].to_numpy(), best["partner"].to_numpy()])
    return Join(rescore(vectors, vectors, [pairs], threshold, within=True), counts, counts)


def _select_best(tables: list[pa.Table], k: int) -> pa.Table:
    """Return the K best partners of each row in several tables of `BEST_SCHEMA`; among equals, the lowest indices."""
    together = pa.concat_tables(tables)
    row, partner, similarity = (together[name].to_numpy() for name in BEST_SCHEMA.names)
    order = np.lexsort((partner, -similarity, row))
    rows = row[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    return together.take(pa.array(order[rank < k]))
