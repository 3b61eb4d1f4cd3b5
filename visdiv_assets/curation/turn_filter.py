"""Rows without the turns that fail the quality thresholds, as FineVision's loader feeds them to training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources.conform import is_list, lists_of, positions_of_entries, rows_of_entries
from visdiv_assets.sources.interface import StoredShard
from visdiv_assets.sources.schema import CRITERIA


@dataclass(frozen=True, eq=False)
class FailingTurns:
    """The turns to leave out of some rows in a sequence.

    Attributes:
        subset: the name of their subset.
        texts: the columns that hold the turns.
        counts: turns of each row, int64 [rows].
        failing: which turns are left out, bool [turns of all rows], row by row; none of a row that is not written.
    """

    subset: str
    texts: tuple[str, ...]
    counts: np.ndarray
    failing: np.ndarray

    @property
    def total(self) -> int:
        """The number of turns that are left out."""
        return int(np.count_nonzero(self.failing))

    def of_rows(self, first: int, count: int) -> FailingTurns:
        """Return the same of some rows, by the index of the first one."""
        start = int(self.counts[:first].sum())
        counts = self.counts[first : first + count]
        return replace(self, counts=counts, failing=self.failing[start : start + int(counts.sum())])

    def at(self, rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Return which of some turns are left out, bool [n].

        Args:
            rows: the index of the row of each, int64 [n].
            turns: the index of each in its row, int [n].
        """
        first = np.cumsum(self.counts) - self.counts
        found: np.ndarray = self.failing[first[rows] + turns]
        return found

    def digest(self) -> str:
        """Return a digest of the turns that are left out."""
        return hashlib.sha256(self.counts.tobytes() + self.failing.tobytes()).hexdigest()


def without_turns(stored: StoredShard, turns: FailingTurns) -> StoredShard:
    """Return a shard without the failing turns of its rows.

    Each failing turn is left out of the texts and of the lists of ratings, `<criterion>_ratings`; `<criterion>_min` of
    its row becomes the lowest rating that is left, null without one. Other rows and columns are unchanged.

    Args:
        stored: the shard.
        turns: of all of its rows.

    Raises:
        VisdivError: the texts are not a list with an entry for each turn.
    """
    column = turns.texts[0] if len(turns.texts) == 1 else ""
    if column not in stored.schema.names or not _is_plain_list(stored.schema.field(column).type):
        raise _not_lists(turns)

    def batches() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in stored.batches:
            yield _without_turns(batch, turns.of_rows(first, batch.num_rows), column)
            first += batch.num_rows

    return replace(stored, batches=batches())


def _without_turns(batch: pa.RecordBatch, turns: FailingTurns, texts: str) -> pa.RecordBatch:
    if not turns.total:
        return batch
    changed = np.bincount(np.repeat(np.arange(batch.num_rows), turns.counts)[turns.failing], minlength=batch.num_rows)
    arrays = {name: batch.column(name) for name in batch.schema.names}
    lengths = pc.fill_null(pc.list_value_length(arrays[texts]), 0).to_numpy(zero_copy_only=False)
    if (lengths != turns.counts)[changed > 0].any():
        raise _not_lists(turns)
    arrays[texts] = _filtered(arrays[texts], turns)
    for criterion in CRITERIA:
        ratings, lowest = f"{criterion}_ratings", f"{criterion}_min"
        if ratings in arrays and _is_plain_list(arrays[ratings].type):
            arrays[ratings] = _filtered(arrays[ratings], turns)
            if lowest in arrays:
                new = _lowest(arrays[ratings]).cast(arrays[lowest].type)
                arrays[lowest] = pc.if_else(pa.array(changed > 0), new, arrays[lowest])
    return pa.record_batch(list(arrays.values()), schema=batch.schema)


def _filtered(lists: pa.Array, turns: FailingTurns) -> pa.Array:
    """Return lists [rows] without the entries of failing turns; a list may have fewer or more than turns."""
    row, index = positions_of_entries(pc.list_value_length(lists))
    lengths = np.bincount(row, minlength=len(lists))
    is_turn = index < turns.counts[row]
    left_out = np.zeros(len(row), bool)
    left_out[is_turn] = turns.at(row[is_turn], index[is_turn])
    kept = lengths - np.bincount(row[left_out], minlength=len(lengths))
    entries = lists.flatten().filter(pa.array(~left_out))
    return lists_of(pa.array(kept), entries, pa.list_(lists.type.value_field), mask=lists.is_null()).cast(lists.type)


def _lowest(ratings: pa.Array) -> pa.Array:
    """Return the lowest entry of each list of numbers, float64; null where there is none."""
    entries = ratings.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False)
    lowest = np.full(len(ratings), np.inf)
    np.fmin.at(lowest, rows_of_entries(ratings), entries)
    return pa.array(lowest, mask=np.isinf(lowest))


def _is_plain_list(kind: pa.DataType) -> bool:
    return is_list(kind) and not pa.types.is_fixed_size_list(kind)


def _not_lists(turns: FailingTurns) -> VisdivError:
    return VisdivError(
        f"the turns of subset {turns.subset!r} cannot be left out one by one, because its texts are not a list with "
        "one entry for each turn: export it without --drop-turns"
    )
