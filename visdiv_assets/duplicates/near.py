"""Near duplicates within one set of images: a self-join told in image_ids."""

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
    """Close pairs, and how many neighbors each image has.

    Attributes:
        pairs: table of `PAIRS_SCHEMA`, image_id_a < image_id_b, sorted; at most K per image chose it.
        counts: table of image_id, background_similarity (null below 4 images), and one int64 column per threshold
            asked for, neighbors in full; in the order of the vectors.
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
        image_ids: string [n], each once: byte-equal copies are one image.
        vectors: their unit vectors [n, d].
        floor: smallest similarity of a pair.
        k_best: a pair is kept only if it is among this many best of one of its two images.
        count_at: thresholds, none below the floor, by the name of the column that counts neighbors there.
        device: where vectors are compared: "cpu", "cuda" or "cuda:N".
        progress: told of images compared with all others.
    """
    result = join(
        vectors, None, floor, k_best=k_best, count_at=list(count_at.values()), device=device, progress=progress
    )
    return to_image_ids(result, image_ids, vectors, list(count_at))


def to_image_ids(result: Join, image_ids: pa.Array, vectors: Matrix, count_columns: Sequence[str]) -> NearDuplicates:
    """A self-join told in image_ids.

    Args:
        result: what the join found.
        image_ids: string [n], each once.
        vectors: their unit vectors [n, d].
        count_columns: what the columns are called that count neighbors.
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
    """Pairs told in image_ids, as a table of `PAIRS_SCHEMA` in no particular order.

    Each of the two images is the query once, so the normalized score subtracts the mean of their backgrounds.
    """
    a, b = pc.take(left_ids, left), pc.take(right_ids, right)
    backgrounds = pc.add(pc.take(left_background, left), pc.take(right_background, right))
    normalized = pc.subtract(similarity, pc.divide(backgrounds, pa.scalar(2, pa.float32())))
    return pa.table([pc.min_element_wise(a, b), pc.max_element_wise(a, b), similarity, normalized], schema=PAIRS_SCHEMA)


def closest_pairs(pairs: pa.Table, count: int) -> pa.Table:
    """The closest pairs of a table of `PAIRS_SCHEMA`, ties by image_id."""
    order = [("similarity", "descending"), ("image_id_a", "ascending"), ("image_id_b", "ascending")]
    return pairs.take(pc.select_k_unstable(pairs, k=min(count, pairs.num_rows), sort_keys=order))


def pair_defects(pairs: pa.Table, floor: float) -> dict[str, int]:
    """Count what no pair may be: of an image with itself, below the floor, or listed twice."""
    a, b = pairs["image_id_a"], pairs["image_id_b"]
    ordered = pa.table({"low": pc.min_element_wise(a, b), "high": pc.max_element_wise(a, b)})
    different = ordered.group_by(["low", "high"]).aggregate([]).num_rows
    return {
        "self_pairs": int(pc.sum(pc.equal(a, b)).as_py() or 0),
        # Not `<`, which no NaN is.
        "below_floor": int(np.count_nonzero(~(pairs["similarity"].to_numpy() >= np.float32(floor)))),
        "listed_twice": pairs.num_rows - different,
    }
