"""Rows that repeat a kept row: each of their images and each of their question-answer pairs is in that row too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.text_corpus import confirmed_pairs
from visdiv_assets.storage.lake import Lake

TEXT_ROWS_SCHEMA = pa.schema(
    [("subset", pa.string()), ("row", pa.int64()), ("keeper_subset", pa.string()), ("keeper_row", pa.int64())]
)

#: A row: index of its subset, and the row in it.
_Row = tuple[int, int]


def repeated_rows(
    lake: Lake, subsets: Sequence[str], ratings: Sequence[np.ndarray], dropped: Sequence[np.ndarray]
) -> pa.Table:
    """Decide which rows leave a clean copy because a row that stays has all that is in them.

    A row leaves if there is a row that stays with the same number of images, each of which is byte-equal to the image
    at its index or confirmed to be a copy of it (of the image itself, not by way of others), and with every
    question-answer pair of the row, character by character. Rows with the most repeated pairs are kept first, then
    those that hold other turns too, the best rated, and the lowest (subset, row). So no image, and no text beside an
    image, is lost.

    Args:
        lake: holds `text_duplicates`, images and confirmed pairs.
        subsets: names of the subsets, sorted.
        ratings: of each subset, float32 [rows], mean quality rating, NaN where there is none.
        dropped: of each subset, bool [rows], rows that are dropped for another reason.

    Returns:
        table of `TEXT_ROWS_SCHEMA`, each row with the one that it repeats; sorted by subset and row.

    Raises:
        NotMaterializedError: `text_duplicates` was never materialized.
    """
    manifest = lake.require(LakeTable.TEXT_DUPLICATES, CORPUS_PARTITION)
    index = {name: number for number, name in enumerate(subsets)}
    turns = lake.read(
        manifest, "turns", columns=["group_id", "subset", "row"], where=pc.field("kind") == "pair_on_image"
    )
    pairs: dict[_Row, set[str]] = defaultdict(set)
    for group, subset, row in zip(*(turns[name].to_pylist() for name in turns.column_names), strict=True):
        if subset in index and not dropped[index[subset]][row]:
            pairs[index[subset], row].add(group)
    listed = lake.read(manifest, "rows")
    whole = {
        (index[subset], row)
        for subset, row in zip(listed["subset"].to_pylist(), listed["row"].to_pylist(), strict=True)
        if subset in index
    }
    images = _Images(lake, subsets, pairs)
    holders: dict[str, list[_Row]] = defaultdict(list)
    found = []
    rated = {at: -np.nan_to_num(ratings[at[0]][at[1]], nan=-np.inf) for at in pairs}
    for at in sorted(pairs, key=lambda at: (-len(pairs[at]), at in whole, rated[at], at)):
        if at in whole:
            rarest = min(pairs[at], key=lambda group: len(holders[group]))
            keepers = (each for each in holders[rarest] if pairs[at] <= pairs[each] and images.are_copies(at, each))
            if keeper := next(keepers, None):
                found.append((*at, *keeper))
                continue
        for group in pairs[at]:
            holders[group].append(at)
    found.sort()
    columns = list(zip(*found, strict=True)) or [(), (), (), ()]
    names = pa.array(list(subsets), pa.string())
    arrays = [pa.array(column, pa.int64()) for column in columns]
    return pa.table([names.take(arrays[0]), arrays[1], names.take(arrays[2]), arrays[3]], schema=TEXT_ROWS_SCHEMA)


class _Images:
    """The images of some rows, and which of them are copies."""

    def __init__(self, lake: Lake, subsets: Sequence[str], rows: Iterable[_Row]) -> None:
        self._ids: dict[_Row, list[str | None]] = defaultdict(list)
        by_subset: Mapping[int, list[int]] = defaultdict(list)
        for subset, row in rows:
            by_subset[subset].append(row)
        for subset, wanted in by_subset.items():
            images = lake.require(LakeTable.SUBSET_IMAGES, subsets[subset])
            where = pc.field("row").isin(pa.array(wanted, pa.int64()))
            # Sorted by row and image_index.
            listed = lake.read(images, columns=["row", "image_id"], where=where)
            for row, image_id in zip(listed["row"].to_pylist(), listed["image_id"].to_pylist(), strict=True):
                self._ids[subset, row].append(image_id)
        confirmed = confirmed_pairs(lake, subsets)
        ids = pa.array({each for of_row in self._ids.values() for each in of_row}, pa.string())
        both = pc.and_(pc.is_in(confirmed["image_id_a"], ids), pc.is_in(confirmed["image_id_b"], ids))
        self._copies = {frozenset(pair.values()) for pair in confirmed.filter(both).to_pylist()}

    def are_copies(self, one: _Row, other: _Row) -> bool:
        """Return whether two rows have equally many images, and each is a copy of the one at its index."""
        left, right = self._ids[one], self._ids[other]
        return len(left) == len(right) and all(
            a is not None and (a == b or frozenset((a, b)) in self._copies) for a, b in zip(left, right, strict=True)
        )
