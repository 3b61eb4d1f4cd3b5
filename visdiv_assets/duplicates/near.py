"""Find the close pairs and the candidate pairs within one set of images, by one self-join of their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.candidates import (
    CandidateRule,
    Images,
    merge_candidates,
    name_pairs,
    select_outstanding,
)
from visdiv_assets.duplicates.pdq_join import close_hashes
from visdiv_assets.duplicates.regions import region_pairs, with_regions
from visdiv_assets.vectors.join_blocks import Part, merge_parts
from visdiv_assets.vectors.partner_lists import PartnerRule
from visdiv_assets.vectors.score_normalization import background_similarity

PAIRS_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("similarity_normalized", pa.float32()),
    ]
)


@dataclass(frozen=True)
class NearDuplicates:
    """The close pairs of a set, its candidate pairs, and the number of neighbors of each image.

    Attributes:
        pairs: table of `PAIRS_SCHEMA`, image_id_a < image_id_b, sorted. A pair is among the K best of one of its two
            images.
        counts: table of image_id, background_similarity (null for sets of fewer than 4 images), and one int64 column
            per threshold with the number of all neighbors at or above it; in the order of the vectors.
        candidates: table of `candidates.PAIR_SCHEMA`, image_id_a < image_id_b, sorted.
    """

    pairs: pa.Table
    counts: pa.Table
    candidates: pa.Table


def near_duplicates(
    images: Images,
    parts: Iterable[Part],
    rule: PartnerRule,
    candidates: CandidateRule,
    count_columns: Sequence[str],
    by_region: pa.Table | None = None,
) -> NearDuplicates:
    """Return the near duplicates of a set from the results of the blocks of its self-join.

    Args:
        images: the images, each once: identical bytes are one image.
        parts: results of `join_blocks.compute_part` for all blocks.
        rule: made by `CandidateRule.partners`; the parts were computed with it.
        candidates: which pairs are candidates.
        count_columns: names of the columns that count neighbors, one for each threshold of the parts.
        by_region: pairs of an image and one that its regions are close to: table of `join.PAIR_SCHEMA`, from
            `regions.pairs_of_images`; None if there are no regions.
    """
    image_ids, vectors = images.image_ids, images.vectors
    found = merge_parts(vectors, None, parts, rule, thresholds=len(count_columns))
    nearest = background_similarity(image_ids, vectors)
    background = pa.array(nearest, from_pandas=True)
    left, right = found.close["left"], found.close["right"]
    # Stored vectors are rounded to float16: the product of an image with its copy may exceed 1 by 1e-3.
    similarity = pc.min_element_wise(found.close["similarity"], pa.scalar(1, pa.float32()))
    pairs = pair_table(image_ids, image_ids, left, right, similarity, background, background)
    counts = {"image_id": image_ids, "background_similarity": background}
    by_pdq = close_hashes(images.hashes, None, distance=candidates.pdq_distance, k_best=candidates.k_best)
    whole = merge_candidates(vectors, None, candidates.select(found.candidates), by_pdq)
    together = select_outstanding(whole, nearest)
    if by_region is not None:
        # Images that do not stand out have regions that do not, either: they keep their places in the budget.
        together = with_regions(together, region_pairs(whole, by_region, vectors, None, candidates.k_best))
    return NearDuplicates(
        pairs.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")]),
        pa.table({**counts, **dict(zip(count_columns, found.counts, strict=True))}),
        name_pairs(together, image_ids, None),
    )


def pair_table(
    left_ids: pa.Array,
    right_ids: pa.Array,
    left: pa.ChunkedArray,
    right: pa.ChunkedArray,
    similarity: pa.ChunkedArray,
    left_background: pa.Array,
    right_background: pa.Array,
) -> pa.Table:
    """Return pairs of row indices as a table of `PAIRS_SCHEMA`, in no particular order.

    The normalized similarity is the similarity minus the mean of the two images' background similarities, because
    each of the two is the query once.

    Args:
        left_ids: string [n], image_ids of the left set.
        right_ids: string [m], image_ids of the right set.
        left: int64 [p], indices into the left set.
        right: int64 [p], indices into the right set.
        similarity: float32 [p].
        left_background: float32 [n], background similarities of the left set, with nulls.
        right_background: float32 [m], background similarities of the right set, with nulls.
    """
    a, b = pc.take(left_ids, left), pc.take(right_ids, right)
    backgrounds = pc.add(pc.take(left_background, left), pc.take(right_background, right))
    normalized = pc.subtract(similarity, pc.divide(backgrounds, pa.scalar(2, pa.float32())))
    return pa.table([pc.min_element_wise(a, b), pc.max_element_wise(a, b), similarity, normalized], schema=PAIRS_SCHEMA)


def closest_pairs(pairs: pa.Table, count: int) -> pa.Table:
    """Return the closest pairs of a table of `PAIRS_SCHEMA`, ties by image_id."""
    order = [("similarity", "descending"), ("image_id_a", "ascending"), ("image_id_b", "ascending")]
    return pairs.take(pc.select_k_unstable(pairs, k=min(count, pairs.num_rows), sort_keys=order))


def pair_defects(pairs: pa.Table, floor: float) -> dict[str, int]:
    """Count invalid pairs: those of an image with itself, those under the floor, and those listed twice."""
    a, b = pairs["image_id_a"], pairs["image_id_b"]
    ordered = pa.table({"low": pc.min_element_wise(a, b), "high": pc.max_element_wise(a, b)})
    different = ordered.group_by(["low", "high"]).aggregate([]).num_rows
    return {
        "self_pairs": int(pc.sum(pc.equal(a, b)).as_py() or 0),
        # Not `<`, which is false for NaN.
        "below_floor": int(np.count_nonzero(~(pairs["similarity"].to_numpy() >= np.float32(floor)))),
        "listed_twice": pairs.num_rows - different,
    }
