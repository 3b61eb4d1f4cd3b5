"""Lay vectors out in the plane."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from visdiv_assets.extras import require_extra
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

SEED = 0
#: Minimum number of points for UMAP and t-SNE. Fewer have no neighborhoods to preserve; they are shown by their first
#: two principal components.
MIN_FOR_NEIGHBORS = 32
NEIGHBORS = 15
PERPLEXITY = 30.0

UMAP, TSNE, PCA = LAYOUTS = ("umap", "tsne", "pca")


def draw_sample(rows: int, points: int, seed: int = SEED) -> np.ndarray:
    """Draw at most `points` of n row indices without replacement: int64 [m], ascending."""
    if rows <= points:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, points, replace=False))


def possible_layouts(names: tuple[str, ...], points: int) -> tuple[str, ...]:
    """Return the layouts that a number of points can have, in order: the given ones, or PCA alone for a few points."""
    return names if points >= MIN_FOR_NEIGHBORS else (PCA,)


def layout(vectors: Matrix, rows: np.ndarray, name: str, seed: int = SEED) -> np.ndarray:
    """Lay some vectors out in the plane.

    `umap` (arXiv 1802.03426) and `tsne` (van der Maaten and Hinton 2008, Barnes-Hut, perplexity 30, begun at the
    principal components) put similar vectors close to each other; `pca`, the first two principal components, keeps
    large distances and shows few groups apart. The same vectors and seed give the same map. It may differ on another
    processor or with another release of umap-learn or scikit-learn.

    Args:
        vectors: unit vectors [n, d].
        rows: int64 [m], indices of the vectors to show; these are held in memory as float32. At least
            `MIN_FOR_NEIGHBORS` for `umap` and `tsne`.
        name: one of `LAYOUTS`.
        seed: random seed of the layout.

    Returns:
        float32 [m, 2], without unit.

    Raises:
        ModelError: a vector is not finite.
        ConfigError: umap-learn or scikit-learn is not installed.
    """
    if not len(rows):
        return np.empty((0, 2), np.float32)
    chosen = check_matrix(as_float32(vectors[rows]), 0)
    placed: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {UMAP: _umap, TSNE: _tsne, PCA: _pca}
    return placed[name](chosen, seed)


def _umap(vectors: np.ndarray, seed: int) -> np.ndarray:
    umap = require_extra("umap", "maps")
    with warnings.catch_warnings():
        # UMAP warns that a seed means one thread, which is intended, and about isolated points.
        warnings.simplefilter("ignore")
        made = umap.UMAP(n_neighbors=NEIGHBORS, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=1)
        coordinates: np.ndarray = np.asarray(made.fit_transform(vectors), np.float32)
    # UMAP gives no coordinates to a point without neighbors: put it in the middle of the map.
    lost = ~np.isfinite(coordinates).all(axis=1)
    coordinates[lost] = coordinates[~lost].mean(axis=0) if (~lost).any() else 0
    return coordinates


def _tsne(vectors: np.ndarray, seed: int) -> np.ndarray:
    require_extra("sklearn", "maps")
    from sklearn import manifold

    # Of unit vectors, Euclidean distances have the order of cosines. Threads add in an order that varies.
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    made = manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    with threadpool_limits(1):
        coordinates: np.ndarray = np.asarray(made.fit_transform(vectors), np.float32)
    return coordinates


def _pca(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Return the first two principal components, with signs that do not depend on the platform.

    The largest entry of each component is positive. They need no seed.
    """
    centered = vectors - vectors.mean(axis=0)
    if len(vectors) > vectors.shape[1]:
        # The eigenvectors of the small matrix are those of a decomposition of all rows, at a fraction of the work.
        _, found = np.linalg.eigh((centered.T @ centered).astype(np.float64))
        directions = found.T[::-1].astype(np.float32)
    else:
        _, _, directions = np.linalg.svd(centered, full_matrices=False)
    out = np.zeros((len(vectors), 2), np.float32)
    for axis, direction in enumerate(directions[:2]):
        sign = np.sign(direction[np.argmax(np.abs(direction))])
        out[:, axis] = centered @ (direction * sign)
    return out
