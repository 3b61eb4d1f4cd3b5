"""Decisions on duplicates: which rows of all subsets a clean copy keeps, and why the others are dropped.

A row is dropped for the first of these reasons that applies: one of its images cannot be read (`unreadable`), its
quality ratings are low (`quality`), one of its images is in a benchmark (`contaminated`), it is not selected, if a
selection is set (`selection`), or its images are copies of images in kept rows (`duplicate`). Rows are processed by
priority, so a row is dropped as a duplicate only in favor of rows that are kept: the clean copy never loses an image
because two rows were dropped in favor of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities

#: Which images of a row must be redundant for the row to be dropped.
ROW_RULES = ("any", "all", "majority")

#: Formats whose pixels are stored without loss.
LOSSLESS = frozenset({"png", "gif", "bmp", "tiff", "ppm"})


@dataclass(frozen=True)
class Positions:
    """The positions, in all subsets, of the images of clusters, sorted by subset, row and image_index.

    Attributes:
        subset: int32 [p], index of the subset in name order.
        row: int64 [p].
        image_index: int32 [p].
        image: int64 [p], index of the image at the position, among the images of clusters.
        pixels: int64 [p], width times height.
        lossless: bool [p], True if its format is in `LOSSLESS`.
        rating: float32 [p], mean quality rating of its row, NaN where there is none.
        contaminated: bool [p], True if its row is contaminated.
        blocked: bool [p], True if its row is dropped for a reason other than being a duplicate.
        images_in_row: int32 [p], number of images of its row, in clusters or not.
    """

    subset: np.ndarray
    row: np.ndarray
    image_index: np.ndarray
    image: np.ndarray
    pixels: np.ndarray
    lossless: np.ndarray
    rating: np.ndarray
    contaminated: np.ndarray
    blocked: np.ndarray
    images_in_row: np.ndarray

    def ranks(self) -> np.ndarray:
        """Return the rank of every position, int64 [p]; 0 is the best position to keep.

        Preferred are, in this order: a row that is not blocked, not contaminated, the best rating, the most pixels,
        a lossless format, and the lowest subset, row and image_index.
        """
        rating = np.where(np.isnan(self.rating), -np.inf, self.rating)
        keys = (
            self.image_index,
            self.row,
            self.subset,
            ~self.lossless,
            -self.pixels,
            -rating,
            self.contaminated,
            self.blocked,
        )
        ranks = np.empty(len(self.row), np.int64)
        ranks[np.lexsort(keys)] = np.arange(len(self.row))
        return ranks

    def image_priority(self, images: int) -> np.ndarray:
        """Return the rank of each image's best position, int64 [images]."""
        priority = np.full(images, len(self.row), np.int64)
        np.minimum.at(priority, self.image, self.ranks())
        return priority


@dataclass(frozen=True)
class Keepers:
    """The decision for each position.

    Attributes:
        keeper: int64 [p], index of the position that represents this one's cluster in the clean copy. It is the
            position's own index where it represents the cluster itself, and -1 where no kept row has the cluster.
        row_duplicate: bool [p], True if its row is dropped as a duplicate.
    """

    keeper: np.ndarray
    row_duplicate: np.ndarray


def keep_best(positions: Positions, cluster: np.ndarray, rule: str) -> Keepers:
    """Decide which position of every cluster is kept, and which rows are dropped as duplicates.

    Rows are processed in the order of their best position. An image is redundant if a kept row already has its cluster.
    A row is dropped if any, all, or the majority (more than half) of its images are redundant; otherwise it is kept,
    and represents those of its clusters that had no keeper yet. Blocked rows represent no cluster.

    Args:
        positions: positions in all subsets.
        cluster: int64 [p], index of each position's cluster.
        rule: one of `ROW_RULES`.

    Raises:
        InputError: the rule is unknown.
    """
    if rule not in ROW_RULES:
        raise InputError(f"{rule!r} is not a rule for rows: use one of {', '.join(ROW_RULES)}")
    count = len(positions.row)
    ranks = positions.ranks()
    # Positions of one row are adjacent.
    new_row = np.flatnonzero(
        np.diff(positions.row, prepend=-1).astype(bool) | (np.diff(positions.subset, prepend=-1) != 0)
    )
    ends = np.append(new_row[1:], count)
    best = np.minimum.reduceat(ranks, new_row) if count else np.empty(0, np.int64)
    keeper_of: dict[int, int] = {}
    row_duplicate = np.zeros(count, bool)
    clusters, images_in_row = cluster.tolist(), positions.images_in_row.tolist()
    blocked = positions.blocked.tolist()
    for row_index in np.argsort(best).tolist():
        start, end = int(new_row[row_index]), int(ends[row_index])
        if blocked[start]:
            continue
        redundant = sum(clusters[position] in keeper_of for position in range(start, end))
        if _is_duplicate_row(redundant, images_in_row[start], rule):
            row_duplicate[start:end] = True
            continue
        for position in range(start, end):
            keeper_of.setdefault(clusters[position], position)
    keeper = np.array([keeper_of.get(value, -1) for value in clusters], np.int64)
    return Keepers(keeper, row_duplicate)


def _is_duplicate_row(redundant: int, images: int, rule: str) -> bool:
    if rule == "all":
        return redundant == images
    return redundant > 0 if rule == "any" else 2 * redundant > images


POSITIONS_SCHEMA = pa.schema(
    [
        ("cluster_id", pa.string()),
        ("component_id", pa.string()),
        ("subset", pa.string()),
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("keep", pa.bool_()),
        ("reason", pa.string()),
        ("row_duplicate", pa.bool_()),
        ("keeper_subset", pa.string()),
        ("keeper_row", pa.int64()),
        ("keeper_image", pa.int32()),
        ("similarity", pa.float32()),
    ]
)


def decide_positions(
    positions: Positions, images: pa.Table, vectors: Matrix, subsets: Sequence[str], *, rule: str
) -> pa.Table:
    """Decide on every position of every cluster that has two or more positions.

    Args:
        positions: positions in all subsets.
        images: image_id, component_id and cluster_id of the images, by index.
        vectors: unit vectors of the images, by index.
        subsets: names of the subsets, by index.
        rule: one of `ROW_RULES`.

    Returns:
        table of `POSITIONS_SCHEMA`, sorted by subset, row and image_index. reason is `best` (this position represents
        its cluster), `exact_copy` or `near_copy` (of the keeper, with the similarity to it), or `row_dropped` (its row
        is dropped for a reason other than being a duplicate).
    """
    cluster = images["cluster_id"].combine_chunks().dictionary_encode().indices.to_numpy()[positions.image]
    several = np.bincount(cluster, minlength=1)[cluster] > 1
    kept = keep_best(positions, cluster, rule)
    has_keeper = kept.keeper >= 0
    keeper = np.where(has_keeper, kept.keeper, 0)
    keep = kept.keeper == np.arange(len(cluster))
    exact = has_keeper & (positions.image[keeper] == positions.image) if len(cluster) else has_keeper
    reason = np.select(
        [keep, positions.blocked | ~has_keeper, exact], ["best", "row_dropped", "exact_copy"], "near_copy"
    )
    similarity = _similarity(vectors, positions.image, positions.image[keeper] if len(cluster) else keeper)
    masked = ~has_keeper
    names = pa.array(list(subsets), pa.string())
    columns = [
        images["cluster_id"].take(pa.array(positions.image)),
        images["component_id"].take(pa.array(positions.image)),
        names.take(pa.array(positions.subset)),
        pa.array(positions.row),
        pa.array(positions.image_index),
        images["image_id"].take(pa.array(positions.image)),
        pa.array(keep),
        pa.array(reason.tolist(), pa.string()),
        pa.array(kept.row_duplicate),
        names.take(pa.array(positions.subset[keeper], mask=masked)) if len(cluster) else pa.array([], pa.string()),
        pa.array(positions.row[keeper], mask=masked),
        pa.array(positions.image_index[keeper], mask=masked),
        pa.array(similarity, mask=masked),
    ]
    return pa.table(columns, schema=POSITIONS_SCHEMA).filter(pa.array(several))


def _similarity(vectors: Matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return inner products of rows with rows, float32 [m]; 1 for a row with itself."""
    result = np.ones(len(left), np.float32)
    different = np.flatnonzero(left != right)
    result[different] = pair_similarities(vectors, vectors, left[different], right[different])
    return result
