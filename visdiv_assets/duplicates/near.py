"""Find the close pairs within one set of images: a self-join of their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import Join, join
from visdiv_assets.vectors.matrix import Matrix
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
    """The close pairs of a set, and the number of neighbors of each image.

    Attributes:
        pairs: table of `PAIRS_SCHEMA`, image_id_a < image_id_b, sorted. A pair is among the K best of one of its two
            images.
        counts: table of image_id, background_similarity (null for sets of fewer than 4 images), and one int64 column
            per threshold with the number of all neighbors at or above it; in the order of the vectors.
    """

    pairs: pa.Table
    counts: pa.Table


def near_duplicates(
    image_ids: pa.Array,
    vectors: Matrix,
    *,
    floor: float,
    k_best: int,
    count_at: Mapping[str, float],
    device: str = "cpu",
    progress: Progress = silent,
) -> NearDuplicates:
    """Find the pairs of different images whose similarity reaches a floor.

    Args:
        image_ids: string [n], each once: identical bytes are one image.
        vectors: their unit vectors [n, d].
        floor: smallest similarity of a pair.
        k_best: keep a pair only if it is among the K best of one of its two images.
        count_at: thresholds from the floor on, by the name of the column that counts the neighbors.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of images that were compared with all others.
    """
    result = join(
        vectors, None, floor, k_best=k_best, count_at=list(count_at.values()), device=device, progress=progress
    )
    return to_image_ids(result, image_ids, vectors, list(count_at))


def to_image_ids(result: Join, image_ids: pa.Array, vectors: Matrix, count_columns: Sequence[str]) -> NearDuplicates:
    """Replace the row indices of a self-join by image_ids.

    Args:
        result: the result of the join.
        image_ids: string [n], each once.
        vectors: their unit vectors [n, d].
        count_columns: names of the columns that count neighbors.
    """
    background = pa.array(background_similarity(image_ids, vectors), from_pandas=True)
    left, right = result.pairs["left"], result.pairs["right"]
    # Stored vectors are rounded to float16: the product of an image with its copy may exceed 1 by 1e-3.
    similarity = pc.min_element_wise(result.pairs["similarity"], pa.scalar(1, pa.float32()))
    pairs = pair_table(image_ids, image_ids, left, right, similarity, background, background)
    counts = pa.table(
        {
            "image_id": image_ids,
            "background_similarity": background,
            **dict(zip(count_columns, result.left_counts, strict=True)),
        }
    )
    return NearDuplicates(pairs.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")]), counts)


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
