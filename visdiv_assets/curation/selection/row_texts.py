"""The texts of rows that selection methods read: all texts of a row, joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from visdiv_assets.corpus.access import current_turns
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import ShardTurns, joined_texts, stored_turns
from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries
from visdiv_assets.curation.selection.row_vectors import subsets_with
from visdiv_assets.errors import InputError
from visdiv_assets.storage.lake import Lake


class RowTexts:
    """The texts of all rows of some shards, one Arrow array at a time; every iteration reads the files again.

    Attributes:
        rows: number of rows.
    """

    def __init__(self, shards: Sequence[ShardTurns]) -> None:
        """Read the rows of these shards, in order."""
        self._shards = shards
        self.rows = sum(shard.rows for shard in shards)

    def __iter__(self) -> Iterator[pa.Array]:
        """Yield the texts."""
        for shard in self._shards:
            for batch in shard.batches(["texts"]):
                yield joined_texts(batch)


def texts_of(lake: Lake, subsets: Sequence[str]) -> dict[str, RowTexts]:
    """Return the texts of the rows of the given subsets (empty: all), by subset.

    Raises:
        StorageError: there are none, or they are older than the images of a subset.
    """
    names = subsets_with(lake, LakeTable.SUBSET_TURNS, subsets)
    return {name: RowTexts(stored_turns(lake, current_turns(lake, name))) for name in names}


def concept_matcher(file: Path | None, texts: Sequence[RowTexts]) -> EntryMatcher:
    """Return the concepts of a file, or else the frequent words and word pairs of the texts themselves.

    Raises:
        InputError: the file cannot be read, or no word is frequent.
    """
    if file:
        return EntryMatcher.of_file(file)
    entries = corpus_entries(JoinedTexts(texts))
    if not entries:
        raise InputError("no word of the texts is frequent enough to be a concept: give a file with --concepts")
    return EntryMatcher(entries)


class JoinedTexts:
    """The texts of several subsets, one after the other."""

    def __init__(self, parts: Sequence[RowTexts]) -> None:
        """Join them in this order."""
        self._parts = parts

    def __iter__(self) -> Iterator[pa.Array]:
        """Yield the texts."""
        for part in self._parts:
            yield from part
