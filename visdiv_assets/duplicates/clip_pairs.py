"""Find pairs of images that are close by CLIP, with their SSCD similarity.

CLIP compares what images mean: two photographs of birds, or two pages of text, are close without being copies. So each
pair has both similarities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.join import self_join
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
) -> pa.Table:
    """Find the pairs of different images that are close by CLIP, and look up their SSCD similarity.

    Args:
        clip: CLIP vectors of the images that are compared.
        sscd: SSCD vectors, of these images or others.
        floor: smallest CLIP similarity of a pair.
        k_best: keep a pair only if it is among the K best of one of its two images.
        device: "cpu", "cuda" or "cuda:N".
        progress: called with the number of images that were compared with all others.

    Returns:
        table of `CLIP_PAIRS_SCHEMA`, image_id_a < image_id_b, sorted. The SSCD similarity is null if one of the two
        images has no SSCD vector.

    Raises:
        VisdivError: a vector is not finite.
    """
    found = self_join(clip.vectors, floor, k_best=k_best, device=device, progress=progress)
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
    return table.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")])


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
