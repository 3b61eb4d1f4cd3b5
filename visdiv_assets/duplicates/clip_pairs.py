"""Pairs of images that are close to CLIP, with what SSCD says of them.

CLIP looks at what an image means: two photographs of birds, or two pages of text, are close to it without being
copies. So each pair carries both similarities.
"""

from __future__ import annotations

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


def clip_pairs(
    image_ids: pa.Array,
    vectors: Matrix,
    sscd_ids: pa.Array,
    sscd_vectors: Matrix,
    *,
    floor: float,
    k_best: int,
    model_ids: tuple[str, str],
    device: str = "cpu",
    progress: Progress = silent,
) -> pa.Table:
    """Find the pairs of different images that are close to CLIP, and look their SSCD similarity up.

    Args:
        image_ids: string [n], each once.
        vectors: their CLIP vectors [n, d], unit length.
        sscd_ids: string [m], images with SSCD vectors.
        sscd_vectors: those vectors [m, e], unit length.
        floor: smallest CLIP similarity of a pair.
        k_best: a pair is kept only if it is among this many best of one of its two images.
        model_ids: of the CLIP vectors and of the SSCD vectors.
        device: where CLIP vectors are compared: "cpu", "cuda" or "cuda:N".
        progress: told of images compared with all others.

    Returns:
        table of `CLIP_PAIRS_SCHEMA`, image_id_a < image_id_b, sorted. The SSCD similarity is null where one of the two
        has no SSCD vector.

    Raises:
        VisdivError: a vector is not finite.
    """
    found = self_join(vectors, floor, k_best=k_best, device=device, progress=progress)
    left, right = pc.take(image_ids, found["left"]), pc.take(image_ids, found["right"])
    numbers = IdIndex(sscd_ids)
    sscd = similarities(sscd_vectors, numbers.rows(left), numbers.rows(right))
    count = found.num_rows
    table = pa.table(
        [
            pc.min_element_wise(left, right),
            pc.max_element_wise(left, right),
            # Stored vectors are rounded to float16: the product of an image with its copy may exceed 1 by 1e-3.
            pc.min_element_wise(found["similarity"], pa.scalar(1, pa.float32())),
            pa.array(sscd, from_pandas=True),
            *(pa.array([model_id], pa.string()).take(pa.array(np.zeros(count, np.int64))) for model_id in model_ids),
        ],
        schema=CLIP_PAIRS_SCHEMA,
    )
    return table.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")])


def similarities(vectors: Matrix, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The similarity of some pairs of rows: float32 [p], NaN where one of the two numbers is -1.

    Args:
        vectors: unit vectors [n, d].
        left: int64 [p].
        right: int64 [p].

    Raises:
        VisdivError: a vector is not finite.
    """
    out = np.full(len(left), np.nan, np.float32)
    there = np.flatnonzero((left >= 0) & (right >= 0))
    found = pair_similarities(vectors, vectors, left[there], right[there], precision=np.float32)
    if np.isnan(found).any():
        raise VisdivError("an SSCD vector is not finite: materialize sscd_embeddings again")
    out[there] = found
    return out


def most_disputed(pairs: pa.Table, count: int) -> pa.Table:
    """The pairs of a table of `CLIP_PAIRS_SCHEMA` whose two similarities are furthest apart, ties by image_id."""
    both = pairs.filter(pc.is_valid(pairs["sscd_similarity"]))
    apart = pc.subtract(both["clip_similarity"], both["sscd_similarity"])
    order = [("apart", "descending"), ("image_id_a", "ascending"), ("image_id_b", "ascending")]
    ranked = both.append_column("apart", apart).sort_by(order).slice(0, count)
    return ranked.drop_columns(["apart"])
