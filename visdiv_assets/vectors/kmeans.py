"""Spherical k-means with FAISS, trained on a seeded sample and applied to all rows in blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.tiles import round_products
from visdiv_assets.vectors.unit_rows import BLOCK, unit_at, unit_blocks

ITERATIONS = 10
#: Training rows per centroid; FAISS recommends 39 to 256.
TRAINING_ROWS = 64


@dataclass(frozen=True)
class Clustering:
    """The result of `k_means`.

    Attributes:
        cluster: int32 [n], index of the nearest centroid.
        similarity: float32 [n], cosine to it.
        centroids: float32 [k, d], of length 1.
    """

    cluster: np.ndarray
    similarity: np.ndarray
    centroids: np.ndarray


def default_clusters(rows: int) -> int:
    """Return sqrt(rows), for which assigning rows to centroids costs about as much as comparing within clusters."""
    return max(1, math.isqrt(rows))


def k_means(vectors: Matrix, clusters: int | None = None, *, seed: int = 0, progress: Progress = silent) -> Clustering:
    """Group rows by direction.

    Args:
        vectors: [n, d]; scaled to length 1.
        clusters: number of clusters (None: `default_clusters`), limited to the number of rows.
        seed: seed of the sample and of the initial centroids.
        progress: called with the number of rows assigned.

    Raises:
        InputError: `clusters` is less than 1, or a row is not finite or all zero.
    """
    rows, dimension = vectors.shape
    if clusters is not None and clusters < 1:
        raise InputError(f"k-means cannot make {clusters} clusters: give 1 or more")
    count = min(clusters or default_clusters(rows), rows)
    cluster, similarity = np.empty(rows, np.int32), np.empty(rows, np.float32)
    if not rows:
        return Clustering(cluster, similarity, np.empty((0, dimension), np.float32))
    import faiss

    random = np.random.default_rng(seed)
    sample = np.sort(random.choice(rows, min(rows, TRAINING_ROWS * count), replace=False))
    trained = faiss.Kmeans(
        dimension,
        count,
        niter=ITERATIONS,
        spherical=True,
        seed=int(random.integers(1, 2**31)),
        # The sample is drawn above; FAISS would only warn about few rows per centroid.
        min_points_per_centroid=1,
        max_points_per_centroid=rows,
    )
    x = np.empty((len(sample), dimension), np.float32)
    for start in range(0, len(sample), BLOCK):
        x[start : start + BLOCK] = unit_at(vectors, sample[start : start + BLOCK])
    trained.train(x)
    del x
    index = faiss.IndexFlatIP(dimension)
    index.add(trained.centroids)
    for start, block in unit_blocks(vectors):
        nearest, centroid = index.search(block, 1)
        similarity[start : start + len(block)] = round_products(nearest[:, 0])
        cluster[start : start + len(block)] = centroid[:, 0]
        progress(len(block))
    return Clustering(cluster, similarity, trained.centroids)
