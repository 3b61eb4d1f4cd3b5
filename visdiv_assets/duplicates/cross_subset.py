"""Images that two subsets share: one tile of the comparison of all subsets with each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import EmbeddedSubset
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, pair_table
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import Prepared, cross_join

OVERLAP_SCHEMA = pa.schema(
    [
        ("subset", pa.string()),
        ("other_subset", pa.string()),
        ("threshold", pa.float64()),
        ("images", pa.int64()),
        ("images_shared", pa.int64()),
        ("images_shared_exactly", pa.int64()),
        ("share", pa.float64()),
    ]
)


@dataclass(frozen=True)
class SubsetComparison:
    """What two subsets share.

    Attributes:
        pairs: table of `PAIRS_SCHEMA`: different images, one of each subset, that are close.
        overlap: table of `OVERLAP_SCHEMA`, in both directions, at every threshold.
    """

    pairs: pa.Table
    overlap: pa.Table


def compare_subsets(
    left: EmbeddedSubset,
    right: EmbeddedSubset,
    *,
    floor: float,
    k_best: int,
    thresholds: Sequence[float],
    prepared: tuple[Prepared | None, Prepared | None] = (None, None),
    device: str = "cpu",
    progress: Progress = silent,
) -> SubsetComparison:
    """Compare all images of two subsets.

    An image is shared at a threshold if the other subset holds the same bytes, or an image whose similarity reaches
    the threshold. The best match of every image is always found, so the shares are exact although only the K best
    pairs are kept.

    Args:
        left: one subset.
        right: the other.
        floor: smallest similarity of a pair.
        k_best: a pair is kept only if it is among this many best of one of its two images.
        thresholds: none below the floor.
        prepared: as `join.cross_join`.
        device: where vectors are compared: "cpu", "cuda" or "cuda:N".
        progress: told of images of the left subset that are done.
    """
    # An image that both hold takes one of its K places for itself.
    found = cross_join(
        left.vectors,
        right.vectors,
        floor,
        k_best=k_best + 1,
        prepared=prepared,
        device=device,
        progress=progress,
    )
    similarity = pc.min_element_wise(found["similarity"], pa.scalar(1, pa.float32()))
    pairs = pair_table(
        left.image_ids,
        right.image_ids,
        found["left"],
        found["right"],
        similarity,
        left.background,
        right.background,
    )
    different = pairs.filter(pc.not_equal(pairs["image_id_a"], pairs["image_id_b"]))
    # Two images that both subsets hold are found twice, once from either side.
    once = different.group_by(["image_id_a", "image_id_b"], use_threads=False).aggregate(
        [("similarity", "max"), ("similarity_normalized", "max")]
    )
    once = once.select(["image_id_a", "image_id_b", "similarity_max", "similarity_normalized_max"])
    once = once.rename_columns(PAIRS_SCHEMA.names)
    records = []
    for one, other, side in ((left, right, "left"), (right, left, "right")):
        exact = pc.is_in(one.image_ids, other.image_ids).to_numpy(zero_copy_only=False)
        best = np.where(exact, np.float32(1), np.float32(-np.inf))
        np.maximum.at(best, found[side].to_numpy(), similarity.to_numpy())
        for threshold in thresholds:
            shared = int((best >= np.float32(threshold)).sum())
            records.append(
                {
                    "subset": one.name,
                    "other_subset": other.name,
                    "threshold": threshold,
                    "images": len(best),
                    "images_shared": shared,
                    "images_shared_exactly": int(exact.sum()),
                    "share": shared / len(best) if len(best) else None,
                }
            )
    sorted_pairs = once.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")])
    return SubsetComparison(sorted_pairs, pa.Table.from_pylist(records, schema=OVERLAP_SCHEMA))
