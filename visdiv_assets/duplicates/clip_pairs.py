"""Find pairs of images that are close by CLIP, with their SSCD similarity.

CLIP compares what images mean: two photographs of birds, or two pages of text, are close without being copies. So each
pair has both similarities. In a subset of one kind of image nearly all pairs may be close, so only the best of each
image are returned, and the others counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import join
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities

CLIP_PAIRS_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("clip_similarity", pa.float32()),
        ("sscd_similarity", pa.float32()),
        ("clip_model_id", pa.string()),
        ("sscd_model_id", pa.string()),
    ]
)

#: One row: how many pairs reach the floor, and how many of them are stored.
CLIP_PAIR_COUNTS_SCHEMA = pa.schema(
    [
        ("images", pa.int64()),
        ("floor", pa.float32()),
        ("kept_per_image", pa.int32()),
        ("pairs", pa.int64()),
        ("pairs_stored", pa.int64()),
        ("images_in_pairs", pa.int64()),
        ("images_cut", pa.int64()),
    ]
)


class ClosePairs(NamedTuple):
    """The result of `clip_pairs`.

    Attributes:
        pairs: table of `CLIP_PAIRS_SCHEMA`, image_id_a < image_id_b, sorted.
        counts: table of `CLIP_PAIR_COUNTS_SCHEMA`, one row. `images_cut` have more partners than are kept per image.
    """

    pairs: pa.Table
    counts: pa.Table


@dataclass(frozen=True)
class ModelVectors:
    """The vectors of images by one model.

    Attributes:
        model_id: the model.
        image_ids: string [n], each once.
        vectors: unit vectors [n, d].
    """

    model_id: str
    image_ids: pa.Array
    vectors: Matrix


def clip_pairs(
    clip: ModelVectors,
    sscd: ModelVectors,
    *,
    floor: float,
    k_best: int,
    device: str = "cpu",
    progress: Progress = silent,
) -> ClosePairs:
    """Find the pairs of different images that are close by CLIP, and look up their SSCD similarity.

    Args:
        clip: CLIP vectors of the images that are compared.
        sscd: SSCD vectors, of these images or others.
        floor: smallest CLIP similarity of a pair.
        k_best: keep a pair only if it is among the K best of one of its two images.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of images that were compared with all others.

    Returns:
        the pairs, and how many there are. The SSCD similarity is null if one of the two images has no SSCD vector.

    Raises:
        VisdivError: a vector is not finite.
    """
    joined = join(clip.vectors, None, floor, k_best=k_best, count_at=[floor], device=device, progress=progress)
    found, (partners,) = joined.pairs, joined.left_counts
    left, right = pc.take(clip.image_ids, found["left"]), pc.take(clip.image_ids, found["right"])
    index = IdIndex(sscd.image_ids)
    sscd_similarity = similarities(sscd.vectors, index.rows(left), index.rows(right))
    count = found.num_rows
    model_ids = clip.model_id, sscd.model_id
    table = pa.table(
        [
            pc.min_element_wise(left, right),
            pc.max_element_wise(left, right),
            # Stored vectors are rounded to float16: the product of an image with its copy may exceed 1 by 1e-3.
            pc.min_element_wise(found["similarity"], pa.scalar(1, pa.float32())),
            pa.array(sscd_similarity, from_pandas=True),
            *(pa.array([model_id], pa.string()).take(pa.array(np.zeros(count, np.int64))) for model_id in model_ids),
        ],
        schema=CLIP_PAIRS_SCHEMA,
    )
    # Each pair is counted at both of its images.
    reaching = max(int(partners.sum()) // 2, count)
    counted = [len(partners), floor, k_best, reaching, count]
    counted += [np.count_nonzero(partners), np.count_nonzero(partners > k_best)]
    counts = pa.table([pa.array([value]) for value in counted], names=CLIP_PAIR_COUNTS_SCHEMA.names)
    return ClosePairs(
        table.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")]), counts.cast(CLIP_PAIR_COUNTS_SCHEMA)
    )


def similarities(vectors: Matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute the SSCD similarity of pairs of rows: float32 [p], NaN where one of the two indices is -1.

    Args:
        vectors: unit vectors [n, d].
        left: int64 [p], row indices.
        right: int64 [p], row indices.

    Raises:
        VisdivError: a vector is not finite.
    """
    out = np.full(len(left), np.nan, np.float32)
    there = np.flatnonzero((left >= 0) & (right >= 0))
    found = pair_similarities(vectors, vectors, left[there], right[there], precision=np.float32)
    if np.isnan(found).any():
        raise VisdivError("an SSCD vector is not finite; materialize sscd_embeddings again")
    out[there] = found
    return out


def most_disputed(pairs: pa.Table, count: int) -> pa.Table:
    """Return the pairs of a table of `CLIP_PAIRS_SCHEMA` whose similarities differ most, ties by image_id."""
    both = pairs.filter(pc.is_valid(pairs["sscd_similarity"]))
    apart = pc.subtract(both["clip_similarity"], both["sscd_similarity"])
    order = [("apart", "descending"), ("image_id_a", "ascending"), ("image_id_b", "ascending")]
    ranked = both.append_column("apart", apart).sort_by(order).slice(0, count)
    return ranked.drop_columns(["apart"])
