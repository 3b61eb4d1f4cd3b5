"""Find candidate pairs: images worth comparing by their pixels, close by SSCD or by PDQ in one of 8 orientations.

Each of the two finds copies that the other misses: SSCD finds crops, captions and borders; PDQ finds blur, resizing,
compression and turned images.
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
class CandidateRule:
    """Which pairs of images are candidates.

    Attributes:
        floor: smallest SSCD similarity.
        k_best: keep a pair only if it is among the K best of one of its two images by SSCD, or by PDQ.
        pdq_distance: largest number of differing bits of two PDQ hashes, of 256.
    """

    floor: float
    k_best: int
    pdq_distance: int


@dataclass(frozen=True)
class Images:
    """The images of one set, each once.

    Attributes:
        image_ids: string [n].
        vectors: their unit vectors [n, d].
        hashes: binary [n], their PDQ hashes, null where there is none.
    """

    image_ids: pa.Array
    vectors: Matrix
    hashes: pa.Array


def find_candidates(left: Images, right: Images | None, rule: CandidateRule, *, device: str = "cpu") -> pa.Table:
    """Find the pairs of images to compare by their pixels.

    Args:
        left: images of one set.
        right: images of another set; None for the pairs left < right within one set.
        rule: which pairs are candidates.
        device: "cpu", "cuda" or "cuda:N".

    Returns:
        table of `CANDIDATE_SCHEMA`, sorted by left and right: the similarity of every pair, and the distance of those
        that PDQ found.
    """
    other = left if right is None else right
    other_vectors, other_hashes = (None, None) if right is None else (right.vectors, right.hashes)
    by_sscd = join(left.vectors, other_vectors, rule.floor, k_best=rule.k_best, device=device).pairs
    by_pdq = close_hashes(left.hashes, other_hashes, distance=rule.pdq_distance, k_best=rule.k_best, device=device)
    keys = [np.stack([table["left"].to_numpy(), table["right"].to_numpy()]) for table in (by_sscd, by_pdq)]
    pairs, index = np.unique(np.concatenate(keys, axis=1), axis=1, return_inverse=True)
    index = index.reshape(-1)
    similarity = np.full(pairs.shape[1], np.nan, np.float32)
    similarity[index[: by_sscd.num_rows]] = by_sscd["similarity"].to_numpy()
    distance = np.full(pairs.shape[1], -1, np.int16)
    distance[index[by_sscd.num_rows :]] = by_pdq["pdq_distance"].to_numpy()
    missing = np.flatnonzero(np.isnan(similarity))
    similarity[missing] = pair_similarities(left.vectors, other.vectors, pairs[0, missing], pairs[1, missing])
    return pa.table(
        [pairs[0], pairs[1], np.minimum(similarity, 1), pa.array(distance, mask=distance < 0)], schema=CANDIDATE_SCHEMA
    )
