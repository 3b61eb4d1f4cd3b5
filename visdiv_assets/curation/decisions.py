"""Which rows of all subsets a clean copy keeps, and why each other one goes.

A row goes for the first of these reasons that applies: an image of it cannot be read (`unreadable`), its quality
ratings (`quality`), an image of it is close to a benchmark's (`contaminated`), it is not among the best by a selection
method, if one is set (`selection`), its images are copies of images in rows that stay (`duplicate`). Rows are taken
by priority, so a row only ever goes as a duplicate for the sake of rows that stay: no image is lost from the clean
copy because each of two rows was dropped for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities

#: How many images of a row must be redundant for the row to go.
ROW_RULES = ("any", "all", "majority")

LOSSLESS = frozenset({"png", "gif", "bmp", "tiff", "ppm"})


@dataclass(frozen=True)
class Positions:
    """Image positions of all subsets whose image belongs to a cluster, in order of subset, row and image_index.

    Attributes:
        subset: int32 [p], number of the subset in name order.
        row: int64 [p].
        image_index: int32 [p].
        image: int64 [p], number of the image.
        pixels: int64 [p], width times height.
        lossless: bool [p], whether its format loses nothing.
        rating: float32 [p], mean quality rating of its row, NaN where there is none.
        contaminated: bool [p], whether its row is contaminated.
        blocked: bool [p], whether its row goes for a reason other than being a duplicate.
        images_in_row: int32 [p], all images of its row, in clusters or not.
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
        """Rank of every position, int64 [p], 0 is the best to keep.

        In a row that stays, not contaminated, best rated, most pixels, lossless, then the lowest subset, row, index.
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
        """The rank of each image's best position, int64 [images]."""
        priority = np.full(images, len(self.row), np.int64)
        np.minimum.at(priority, self.image, self.ranks())
        return priority


@dataclass(frozen=True)
class Kept:
    """What is decided for each position.

    Attributes:
        keeper: int64 [p], number of the position that stands for this one's cluster in the clean copy; its own number
            where it is that one itself; -1 where no row that stays holds the cluster.
        row_duplicate: bool [p], whether its row goes as a duplicate.
    """

    keeper: np.ndarray
    row_duplicate: np.ndarray


def keep_best(positions: Positions, cluster: np.ndarray, rule: str) -> Kept:
    """Decide which position of every cluster stays, and which rows go as duplicates.

    Rows are taken in the order of their best position. An image is redundant if a row that stays already holds its
    cluster. A row goes if any, all, or the majority (more than half) of its images are redundant; otherwise it
    stays, and stands for those of its clusters that had nobody yet. Blocked rows stand for nothing.

    Args:
        positions: of all subsets.
        cluster: int64 [p], number of each position's cluster.
        rule: one of `ROW_RULES`.

    Raises:
        ValueError: the rule is not one of them.
    """
    if rule not in ROW_RULES:
        raise ValueError(f"{rule!r} is not a rule for rows: use one of {', '.join(ROW_RULES)}")
    count = len(positions.row)
    ranks = positions.ranks()
    # Positions of one row stand together.
    new_row = np.flatnonzero(
        np.diff(positions.row, prepend=-1).astype(bool) | (np.diff(positions.subset, prepend=-1) != 0)
    )
    ends = np.append(new_row[1:], count)
    best = np.minimum.reduceat(ranks, new_row) if count else np.empty(0, np.int64)
    keeper_of: dict[int, int] = {}
    row_duplicate = np.zeros(count, bool)
    clusters, images_in_row = cluster.tolist(), positions.images_in_row.tolist()
    blocked = positions.blocked.tolist()
    for number in np.argsort(best).tolist():
        start, end = int(new_row[number]), int(ends[number])
        if blocked[start]:
            continue
        redundant = sum(clusters[place] in keeper_of for place in range(start, end))
        if _goes(redundant, images_in_row[start], rule):
            row_duplicate[start:end] = True
            continue
        for place in range(start, end):
            keeper_of.setdefault(clusters[place], place)
    keeper = np.array([keeper_of.get(value, -1) for value in clusters], np.int64)
    return Kept(keeper, row_duplicate)


def _goes(redundant: int, images: int, rule: str) -> bool:
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
    """What becomes of every position of every cluster of two or more positions.

    Args:
        positions: of all subsets.
        images: image_id, component_id and cluster_id of the images, by number.
        vectors: of the images, by number.
        subsets: their names, by number.
        rule: one of `ROW_RULES`.

    Returns:
        table of `POSITIONS_SCHEMA` by subset, row and image_index. reason is `best` (this position stands for its
        cluster), `exact_copy` or `near_copy` (of the keeper, with the similarity to it), or `row_dropped` (its row goes
        for a reason other than being a duplicate).
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
    """Inner products of rows with rows, float32 [m]; 1 for a row with itself."""
    result = np.ones(len(left), np.float32)
    different = np.flatnonzero(left != right)
    result[different] = pair_similarities(vectors, vectors, left[different], right[different])
    return result
