"""Pairs worth comparing pixel by pixel: close by SSCD at a low floor, or close by PDQ in one of 8 orientations.

Each of the two finds copies that the other misses: SSCD crops, captions and borders; PDQ blur, resizing, compression
and turned images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.pdq_join import close_hashes
from visdiv_assets.vectors.join import join
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.pair_similarity import pair_similarities

CANDIDATE_SCHEMA = pa.schema(
    [
        ("left", pa.int64()),
        ("right", pa.int64()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
    ]
)


@dataclass(frozen=True)
class Images:
    """Different images of one set.

    Attributes:
        image_ids: string [n], each once.
        vectors: their unit vectors [n, d].
        hashes: binary [n], their PDQ hashes, null where there is none.
    """

    image_ids: pa.Array
    vectors: Matrix
    hashes: pa.Array


def candidates(
    left: Images, right: Images | None, *, floor: float, k_best: int, pdq_distance: int, device: str = "cpu"
) -> pa.Table:
    """The pairs to compare.

    Args:
        left: images.
        right: those of another set; None for the pairs left < right within one.
        floor: smallest SSCD similarity.
        k_best: a pair is kept only if it is among this many best of one of its two by SSCD, or by PDQ.
        pdq_distance: largest number of differing bits.
        device: where vectors are compared.

    Returns:
        table of `CANDIDATE_SCHEMA`, sorted by left and right: the similarity of every pair, and the distance of those
        that PDQ found.
    """
    other = left if right is None else right
    by_sscd = join(left.vectors, None if right is None else right.vectors, floor, k_best=k_best, device=device).pairs
    by_pdq = close_hashes(
        left.hashes, None if right is None else right.hashes, distance=pdq_distance, k_best=k_best, device=device
    )
    keys = [np.stack([table["left"].to_numpy(), table["right"].to_numpy()]) for table in (by_sscd, by_pdq)]
    pairs, place = np.unique(np.concatenate(keys, axis=1), axis=1, return_inverse=True)
    place = place.reshape(-1)
    similarity = np.full(pairs.shape[1], np.nan, np.float32)
    similarity[place[: by_sscd.num_rows]] = by_sscd["similarity"].to_numpy()
    distance = np.full(pairs.shape[1], -1, np.int16)
    distance[place[by_sscd.num_rows :]] = by_pdq["pdq_distance"].to_numpy()
    missing = np.flatnonzero(np.isnan(similarity))
    similarity[missing] = pair_similarities(left.vectors, other.vectors, pairs[0, missing], pairs[1, missing])
    return pa.table(
        [pairs[0], pairs[1], np.minimum(similarity, 1), pa.array(distance, mask=distance < 0)], schema=CANDIDATE_SCHEMA
    )
