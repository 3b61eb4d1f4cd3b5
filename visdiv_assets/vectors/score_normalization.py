"""Compute the background similarity of images, which SSCD's score normalization subtracts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.vectors.bounded_tiles import TILE
from visdiv_assets.vectors.matrix import Matrix

#: Maximum number of images of the background set.
SAMPLE = 2_000
#: Number of nearest images averaged, as in SSCD's evaluation by default (`1.00[0,2]`).
NEAREST = 3


def background_similarity(image_ids: pa.Array, vectors: Matrix) -> np.ndarray:
    """Return the mean similarity of each image to its 3 nearest images in a sample of the others.

    SSCD's normalized score of a pair is its similarity minus this (facebookresearch/sscd-copy-detection,
    `disc_eval.py`): a chart that is close to every other chart of its template loses most of its score, a copy of a
    photograph does not.

    The sample is the images with the lowest image_ids. These are hashes, so that the sample is random, the same in
    every run, and nearly the same after the set has grown. A set smaller than the sample is its own background; a near
    duplicate in it then lowers the normalized score of its partner.

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
