"""How close an image is to others that are no copies of it: what SSCD's score normalization subtracts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.join import TILE
from visdiv_assets.vectors.matrix import Matrix

#: Images of the background set, at most.
SAMPLE = 2_000
#: How many of the nearest are averaged, as SSCD's evaluation does by default (`1.00[0,2]`).
NEAREST = 3


def background_similarity(image_ids: pa.Array, vectors: Matrix) -> np.ndarray:
    """Mean similarity of each image to its 3 nearest in a sample of the other images.

    SSCD's normalized score of a pair is its similarity minus this (facebookresearch/sscd-copy-detection,
    `disc_eval.py`): a chart that is close to every other chart of its template loses most of its score, a copy of a
    photograph does not. The sample is of the images with the lowest image_ids, which are hashes: it is random, the
    same in every run, and nearly the same after the set has grown. A set that is smaller than the sample is its own
    background, and a near copy within it then lowers the normalized score of its partner.

    Args:
        image_ids: string [n], each once.
        vectors: their unit vectors [n, d].

    Returns:
        float32 [n]; NaN where there are fewer than 3 other images.
    """
    count = len(image_ids)
    result = np.full(count, np.nan, np.float32)
    sampled = np.sort(np.argsort(image_ids.to_numpy(zero_copy_only=False).astype("S32"), kind="stable")[:SAMPLE])
    if count <= NEAREST:
        return result
    background = vectors[sampled].astype(np.float32)
    for start in range(0, count, TILE):
        similarity = vectors[start : start + TILE].astype(np.float32) @ background.T
        own = np.flatnonzero((sampled >= start) & (sampled < start + TILE))
        similarity[sampled[own] - start, own] = -np.inf
        nearest = np.partition(similarity, -NEAREST, axis=1)[:, -NEAREST:]
        result[start : start + TILE] = nearest.mean(axis=1)
    return result
