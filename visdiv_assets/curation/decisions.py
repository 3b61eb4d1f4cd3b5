"""Decisions on duplicates: which rows of all subsets a clean copy keeps, and why the others are dropped.

A row is dropped for the first of these reasons that applies: one of its images cannot be read (`unreadable`), its
quality ratings are low (`quality`), one of its images is in a benchmark (`contaminated`), it is not selected, if a
selection is set (`selection`), or its images are copies of images in kept rows (`duplicate`). Rows are processed by
priority, so a row is dropped as a duplicate only in favor of rows that are kept: the clean copy never loses an image
because two rows were dropped in favor of each other. An image is redundant only if it is a copy of the image in a kept
row itself, not by way of other images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.clusters import Pairs, components, lowest_members
from visdiv_assets.duplicates.stars import Stars
from visdiv_assets.errors import InputError

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
            position's own index where it represents the cluster itself, and -1 where no kept row has the center.
        row_duplicate: bool [p], True if its row is dropped as a duplicate.
        center: int64 [n], center of each image's cluster: itself, or an image that it is a copy of.
        pair: int64 [n], index of the pair of each image and its center; -1 for centers.
    """

    keeper: np.ndarray
    row_duplicate: np.ndarray
    center: np.ndarray
    pair: np.ndarray


def keep_best(positions: Positions, pairs: Pairs, images: int, rule: str) -> Keepers:
    """Decide which position of every cluster is kept, and which rows are dropped as duplicates.

    Rows are processed in the order of their best position. An image is redundant if it has a center in a kept row, that
    is, if it is the center or a copy of the center itself. A row is dropped if any, all, or the majority (more than
    half) of its images are redundant; otherwise it is kept, and those of its images that are not redundant become
    centers. A redundant image belongs to the most similar of the centers at that time, which are better images than it.
    Images without a center in a kept row form clusters of their own, without a keeper.

    Args:
        positions: positions in all subsets.
        pairs: all pairs of images that are copies of each other.
        images: number of images.
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
    stars = Stars(images, pairs)
    home = np.full(images, -1, np.int64)
    row_duplicate = np.zeros(count, bool)
    for row_index in np.argsort(best).tolist():
        start, end = int(new_row[row_index]), int(ends[row_index])
        if positions.blocked[start]:
            continue
        stars.settle(positions.image[start:end])
        redundant = int(np.count_nonzero(stars.center[positions.image[start:end]] >= 0))
        if _is_duplicate_row(redundant, int(positions.images_in_row[start]), rule):
            row_duplicate[start:end] = True
            continue
        for position in range(start, end):
            image = positions.image[position]
            if stars.center[image] < 0:
                stars.add(image)
                home[image] = position
        stars.settle(positions.image[start:end])
    stars.complete(positions.image_priority(images))
    return Keepers(home[stars.center][positions.image], row_duplicate, stars.center, stars.pair)


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
        ("confidence", pa.float32()),
        ("evidence", pa.string()),
    ]
)


@dataclass(frozen=True)
class Copies:
    """The pairs of images that are copies of each other, with their verdicts.

    Attributes:
        pairs: m pairs.
        confidence: float32 [m], null where it is unknown.
        evidence: string [m], null without a verdict.
    """

    pairs: Pairs
    confidence: pa.Array
    evidence: pa.Array

    def of(self, index: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
        """Return similarity, confidence and evidence of some pairs; null for a null index."""
        similarity = pa.array(self.pairs.similarity, pa.float32())
        return similarity.take(index), self.confidence.take(index), self.evidence.take(index)


def without_verdicts(pairs: Pairs) -> Copies:
    """Return pairs that are copies by their similarity alone."""
    count = len(pairs.left)
    return Copies(pairs, pa.nulls(count, pa.float32()), pa.nulls(count, pa.string()))


@dataclass(frozen=True)
class Decisions:
    """The decisions on all positions.

    Attributes:
        positions: table of `POSITIONS_SCHEMA`, sorted by subset, row and image_index: the positions of every cluster
            that has two or more. reason is `best` (this position represents its cluster), `exact_copy` or `near_copy`
            (of the keeper; similarity, confidence and evidence are those of the two images), or `row_dropped` (its row
            is dropped for a reason other than being a duplicate, or no kept row has the center).
        component: int64 [n], lowest image of each image's component.
        center: int64 [n], center of each image's cluster.
    """

    positions: pa.Table
    component: np.ndarray
    center: np.ndarray


def decide_positions(
    positions: Positions, image_ids: np.ndarray, copies: Copies, subsets: Sequence[str], *, rule: str
) -> Decisions:
    """Decide on every position of every cluster that has two or more positions.

    Args:
        positions: positions in all subsets.
        image_ids: S32 [n], the images.
        copies: the pairs of images that are copies of each other.
        subsets: names of the subsets, by index.
        rule: one of `ROW_RULES`.
    """
    kept = keep_best(positions, copies.pairs, len(image_ids), rule)
    component = lowest_members(components(len(image_ids), copies.pairs))
    cluster = kept.center[positions.image]
    several = np.bincount(cluster, minlength=1)[cluster] > 1
    chosen = np.flatnonzero(several)
    image, keeper = positions.image[chosen], kept.keeper[chosen]
    without = keeper < 0
    keep, exact = keeper == chosen, kept.center[image] == image
    reason = np.select(
        [keep, positions.blocked[chosen] | without, exact], ["best", "row_dropped", "exact_copy"], "near_copy"
    )
    names, ids = pa.array(list(subsets), pa.string()), pa.array(image_ids.astype(str))
    similarity, confidence, evidence = copies.of(pa.array(kept.pair[image], mask=exact | without))
    columns = {
        "cluster_id": ids.take(pa.array(cluster[chosen])),
        "component_id": ids.take(pa.array(component[image])),
        "subset": names.take(pa.array(positions.subset[chosen])),
        "row": positions.row[chosen],
        "image_index": positions.image_index[chosen],
        "image_id": ids.take(pa.array(image)),
        "keep": keep,
        "reason": pa.array(reason.tolist(), pa.string()),
        "row_duplicate": kept.row_duplicate[chosen],
        "keeper_subset": names.take(pa.array(positions.subset[keeper], mask=without)),
        "keeper_row": pa.array(positions.row[keeper], mask=without),
        "keeper_image": pa.array(positions.image_index[keeper], mask=without),
        "similarity": _with_exact(similarity, exact & ~without, 1.0),
        "confidence": _with_exact(confidence, exact & ~without & ~keep, 1.0),
        "evidence": _with_exact(evidence, exact & ~without & ~keep, "identical_pixels"),
    }
    return Decisions(pa.table(columns, schema=POSITIONS_SCHEMA), component, kept.center)


def _with_exact(values: pa.Array, exact: np.ndarray, value: object) -> pa.Array:
    """Replace the values of positions that hold the same image as their keeper."""
    return pc.if_else(pa.array(exact), pa.scalar(value, values.type), values)
