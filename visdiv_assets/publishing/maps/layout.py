"""Places of vectors in the plane."""

from __future__ import annotations

import warnings

import numpy as np

from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

SEED = 0
#: Below so many points there are no neighborhoods for UMAP to keep: the two main directions are shown instead.
MIN_FOR_UMAP = 32
NEIGHBORS = 15


def draw_sample(rows: int, points: int, seed: int = SEED) -> np.ndarray:
    """Numbers of at most so many of n rows, drawn without replacement, ascending: int64 [m]."""
    if rows <= points:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, points, replace=False))


def layout(vectors: Matrix, rows: np.ndarray, seed: int = SEED) -> np.ndarray:
    """Lay some vectors out in the plane by UMAP (arXiv 1802.03426), so that those of like direction lie together.

    The same vectors and seed give the same map; on another processor or release of umap-learn it may differ.

    Args:
        vectors: unit vectors [n, d].
        rows: int64 [m], those that are shown; they are held in memory in float32.
        seed: of the layout.

    Returns:
        float32 [m, 2], without unit; the first two principal components below 32 points.

    Raises:
        VisdivError: a vector is not finite.
    """
    if not len(rows):
        return np.empty((0, 2), np.float32)
    chosen = check_matrix(as_float32(vectors[rows]), 0)
    if len(rows) < MIN_FOR_UMAP:
        return _principal(chosen)
    import umap

    with warnings.catch_warnings():
        # That one seed means one thread is what is wanted; isolated points are placed as well as can be.
        warnings.simplefilter("ignore")
        made = umap.UMAP(n_neighbors=NEIGHBORS, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=1)
        places: np.ndarray = np.asarray(made.fit_transform(chosen), np.float32)
    # A point that is linked to no other has no place of its own: the middle of the map says least of it.
    lost = ~np.isfinite(places).all(axis=1)
    places[lost] = places[~lost].mean(axis=0) if (~lost).any() else 0
    return places


def _principal(vectors: np.ndarray) -> np.ndarray:
    """The first two principal components, each with its largest entry positive, so that they are the same anywhere."""
    centered = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    out = np.zeros((len(vectors), 2), np.float32)
    for axis, direction in enumerate(directions[:2]):
        sign = np.sign(direction[np.argmax(np.abs(direction))])
        out[:, axis] = centered @ (direction * sign)
    return out
