"""A self-join cut into blocks of rows, each a unit of work, and put together again without a trace of the cuts.

A block is its rows against themselves and all rows behind them. For each row it keeps the K best partners that it saw;
the K best of all are among those, and what they are does not depend on how the rows were cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import Join, count_partners, rescore
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.tiles import FullTiles, ProjectedTiles
from visdiv_assets.vectors.top_k import BestPartners

#: Pairs of a block, about: a minute or so on two cores where all are multiplied in full. Sets of up to 92,682 images
#: are one block.
PAIRS_OF_A_BLOCK = 1 << 32

#: A block begins at a multiple of it: a whole number of tiles of every kind.
ROWS_OF_A_BLOCK = 8192

#: Partners that are gathered before those that are too many are dropped: 20 bytes each.
ENTRIES_WAITING = 1 << 24

BEST_SCHEMA = pa.schema([("row", pa.int64()), ("partner", pa.int64()), ("similarity", pa.float32())])


@dataclass(frozen=True)
class Part:
    """What one block found.

    Attributes:
        best: table of `BEST_SCHEMA`: the K best partners of each row, as the tiles compute similarities.
        counts: table of row, and one int64 column for each threshold: how many partners a row has; only rows that have
            any.
    """

    best: pa.Table
    counts: pa.Table


def split_into_blocks(rows: int) -> list[tuple[int, int]]:
    """First row of each block of a self-join, and the row after its last; one block if the set is small."""
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
    """Join the rows of a block with themselves and all behind them.

    Args:
        tiles: of the self-join.
        block: one of `split_into_blocks`.
        rows: of the set.
        k_best: partners kept of each row.
        count_at: as `join.join`.
        progress: told of rows of the block done.
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
    columns = {f"count_{number}": of_threshold[counted] for number, of_threshold in enumerate(counts)}
    return Part(
        pa.table([row + start, partner + start, similarity], schema=BEST_SCHEMA),
        pa.table({"row": counted + start, **columns}),
    )


def merge_parts(vectors: Matrix, parts: Iterable[Part], threshold: float, *, k_best: int, thresholds: int) -> Join:
    """What `join.join` finds in one go.

    Args:
        vectors: unit vectors [n, d].
        parts: of all blocks, in their order.
        threshold: smallest similarity of a pair.
        k_best: as the parts were made with.
        thresholds: how many were counted at.
    """
    counts = np.zeros((thresholds, vectors.shape[0]), np.int64)
    best = BEST_SCHEMA.empty_table()
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part.best)
        if sum(table.num_rows for table in waiting) > max(best.num_rows, ENTRIES_WAITING):
            best, waiting = _best_of([best, *waiting], k_best), []
        row = part.counts["row"].to_numpy()
        for number in range(thresholds):
            counts[number, row] += part.counts[f"count_{number}"].to_numpy()
    best = _best_of([best, *waiting], k_best)
    pairs = np.stack([best["row"].to_numpy(), best["partner"].to_numpy()])
    return Join(rescore(vectors, vectors, [pairs], threshold, within=True), counts, counts)


def _best_of(tables: list[pa.Table], k: int) -> pa.Table:
    """The K best partners of each row, ties to the lowest, of several tables of `BEST_SCHEMA`."""
    together = pa.concat_tables(tables)
    row, partner, similarity = (together[name].to_numpy() for name in BEST_SCHEMA.names)
    order = np.lexsort((partner, -similarity, row))
    rows = row[order]
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    rank = np.arange(len(rows)) - np.repeat(first, np.diff(first, append=len(rows)))
    return together.take(pa.array(order[rank < k]))
