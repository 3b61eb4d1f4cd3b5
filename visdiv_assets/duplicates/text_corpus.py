"""The signatures of the texts of all subsets, and which images stand beside them, as the lake holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import current_embeddings, current_turns, digests_by_partition
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.clusters import Pairs, components, lowest_members
from visdiv_assets.duplicates.decided_pairs import read_confirmed
from visdiv_assets.errors import StaleError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.signatures import (
    BUCKETS,
    DISTINCT_COLUMNS,
    TURN_COLUMNS,
    hashes_of_names,
    mix,
    scramble,
)

#: Turns, or texts, that are sorted at a time.
PART = 2 << 20

#: Turns that are read at a time.
BLOCK = 1 << 19


class TurnBlock(NamedTuple):
    """Consecutive turns of a subset.

    Attributes:
        subset: index of the subset.
        first: index of the first turn in the corpus.
        question: uint64 [n], hash of the question; 0 if it is empty.
        answer: uint64 [n], hash of the answer; 0 if it is empty.
        row: int64 [n], index of the row in the corpus.
    """

    subset: int
    first: int
    question: np.ndarray
    answer: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class TextCorpus:
    """The signatures of all subsets; matrices are memory-mapped if they are on a disk.

    Attributes:
        subsets: names of the subsets, by index.
        turns: of each subset, matrix of `TURN_COLUMNS`.
        first_turn: int64 [subsets + 1], index of each subset's first turn in the corpus.
        first_row: int64 [subsets + 1], index of each subset's first row in the corpus.
        texts: matrix of `DISTINCT_COLUMNS`; a text that occurs in several shards has several rows.
        buckets: uint64 [m, 14], of each row of `texts`.
        ngrams: uint32 [s, 1], n-grams of all rows of `texts`.
    """

    subsets: Sequence[str]
    turns: Sequence[StackedArray]
    first_turn: np.ndarray
    first_row: np.ndarray
    texts: StackedArray
    buckets: StackedArray
    ngrams: StackedArray

    @property
    def turn_count(self) -> int:
        """Number of turns."""
        return int(self.first_turn[-1])

    def blocks(self) -> Iterator[TurnBlock]:
        """Yield all turns in order."""
        for subset, stored in enumerate(self.turns):
            first = int(self.first_turn[subset])
            for block in stored.blocks(BLOCK):
                row = block[:, 2].astype(np.int64) + self.first_row[subset]
                yield TurnBlock(subset, first, block[:, 0], block[:, 1], row)
                first += len(block)

    def positions(self, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the subset, int32, the row in it, int64, and the turn in the row, int32, of turns, int64 [n]."""
        subset = np.searchsorted(self.first_turn, turns, side="right") - 1
        row, turn = np.empty(len(turns), np.int64), np.empty(len(turns), np.int32)
        for each in np.unique(subset).tolist():
            chosen = subset == each
            rows = self.rows_of_turns(each)
            within = turns[chosen] - self.first_turn[each]
            row[chosen] = rows[within]
            turn[chosen] = within - np.searchsorted(rows, rows[within])
        return subset.astype(np.int32), row, turn

    def rows_of_turns(self, subset: int) -> np.ndarray:
        """Return the row of each turn of a subset, by its index: int64 [t], ascending."""
        return np.concatenate(
            [np.empty(0, np.int64), *(part[:, 2].astype(np.int64) for part in self.turns[subset].parts)]
        )


def open_texts(lake: Lake, subsets: Sequence[str]) -> TextCorpus:
    """Open the signatures of some subsets.

    Raises:
        NotMaterializedError: a subset has none.
    """
    manifests = [lake.require(LakeTable.TEXT_SIGNATURES, subset) for subset in subsets]
    rows = [int(lake.require(LakeTable.SUBSET_IMAGES, subset).facts["rows"]) for subset in subsets]
    empty: dict[str, np.ndarray] = {
        "turns": np.empty((0, len(TURN_COLUMNS)), np.uint64),
        "texts": np.empty((0, len(DISTINCT_COLUMNS)), np.uint64),
        "buckets": np.empty((0, BUCKETS), np.uint64),
        "ngrams": np.empty((0, 1), np.uint32),
    }

    def stacked(role: str, of: Sequence[int]) -> StackedArray:
        parts: list[np.ndarray] = [part for each in of for part in lake.array(manifests[each], role).parts]
        return StackedArray([empty[role], *parts])

    turns = [stacked("turns", [index]) for index in range(len(subsets))]
    first_turn = np.cumsum([0, *map(len, turns)])
    everything = range(len(subsets))
    of_texts = (stacked(role, everything) for role in ("texts", "buckets", "ngrams"))
    return TextCorpus(subsets, turns, first_turn, np.cumsum([0, *rows]), *of_texts)


def current_signatures(lake: Lake, subset: str) -> Manifest:
    """Return the signatures of the texts of a subset, which must be those of its present turns and images.

    Raises:
        NotMaterializedError: there are none.
        StaleError: the turns were stored, or the images listed, again after that.
    """
    return current_embeddings(lake, current_turns(lake, subset), LakeTable.TEXT_SIGNATURES)


def require_current_duplicates(lake: Lake, subsets: Sequence[str]) -> None:
    """Check that the duplicates of texts were found in the present images and texts of some subsets.

    A subset without signatures was not compared, and is left out.

    Raises:
        NotMaterializedError: `text_duplicates` was never materialized.
        StaleError: a subset has changed since.
    """
    duplicates = lake.require(LakeTable.TEXT_DUPLICATES, CORPUS_PARTITION)
    for subset in subsets:
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        if lake.manifest(LakeTable.TEXT_SIGNATURES, subset) is None:
            continue
        for made_from in (images, current_signatures(lake, subset)):
            ((key, digest),) = digests_by_partition([made_from]).items()
            if duplicates.inputs.get(key) != digest:
                raise StaleError(
                    f"{duplicates.table} of {duplicates.partition!r} is older than {made_from.table} of {subset!r}: "
                    f"{remedy(duplicates.table, duplicates.partition)}"
                )


def row_images(lake: Lake, subsets: Sequence[str]) -> np.ndarray:
    """Return a hash of the images of every row of some subsets: uint64 [rows of all].

    Rows have the same hash if they have the same number of images, and those at each index are the same image or
    connected by confirmed pairs. It is 0 for rows without images. An image without bytes is like no other.
    """
    linked, leaders = _linked_images(lake, subsets)
    keys = []
    for number, subset in enumerate(subsets):
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        listed = lake.read(images, columns=["row", "image_index", "image_id"])
        hashes = hashes_of_names(pc.fill_null(listed["image_id"], "0" * 32))
        found = linked.rows(listed["image_id"])
        hashes = np.where(found >= 0, leaders[found] if len(leaders) else hashes, hashes)
        missing = np.flatnonzero(listed["image_id"].is_null().to_numpy(zero_copy_only=False))
        hashes[missing] = scramble((missing + (number << 40) + 1).astype(np.uint64))
        key = np.zeros(int(images.facts["rows"]), np.uint64)
        index = listed["image_index"].to_numpy().astype(np.uint64)
        np.add.at(key, listed["row"].to_numpy(), mix(hashes, index))
        keys.append(key)
    return np.concatenate([np.empty(0, np.uint64), *keys])


def confirmed_pairs(lake: Lake, subsets: Sequence[str]) -> pa.Table:
    """Return the confirmed pairs of images within and across some subsets: image_id_a, image_id_b."""
    manifests = [lake.manifest(LakeTable.VERIFIED_DUPLICATES, subset) for subset in subsets]
    manifests.append(lake.manifest(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION))
    found = [read_confirmed(lake, manifest, SIDES) for manifest in manifests if manifest and manifest.files("pairs")]
    return pa.concat_tables([pa.schema([(name, pa.string()) for name in SIDES]).empty_table(), *found])


def _linked_images(lake: Lake, subsets: Sequence[str]) -> tuple[IdIndex, np.ndarray]:
    """Return the images of confirmed pairs, and a hash of the component of each, uint64 [n]."""
    pairs = confirmed_pairs(lake, subsets)
    a, b = (pairs[name].to_numpy(zero_copy_only=False).astype("S32") for name in pairs.column_names)
    ids = np.unique(np.concatenate([a, b]))
    links = Pairs(np.searchsorted(ids, a), np.searchsorted(ids, b), np.ones(len(a), np.float32))
    leader = lowest_members(components(len(ids), links))
    return IdIndex(ids), hashes_of_names(pa.array(ids.astype(str).astype(object), pa.string()))[leader]
