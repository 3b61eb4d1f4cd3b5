"""Lay vectors out in the plane."""

from __future__ import annotations

import warnings

import numpy as np

from visdiv_assets.extras import require_extra
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

SEED = 0
#: Minimum number of points for UMAP. Fewer have no neighborhoods to preserve; they are shown by their first two
#: principal components.
MIN_FOR_UMAP = 32
NEIGHBORS = 15


def draw_sample(rows: int, points: int, seed: int = SEED) -> np.ndarray:
    """Draw at most `points` of n row indices without replacement: int64 [m], ascending."""
    if rows <= points:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, points, replace=False))


def layout(vectors: Matrix, rows: np.ndarray, seed: int = SEED) -> np.ndarray:
    """Lay some vectors out in the plane by UMAP (arXiv 1802.03426): similar vectors lie close to each other.

    The same vectors and seed give the same map. It may differ on another processor or with another release of
    umap-learn.

    Args:
        vectors: unit vectors [n, d].
        rows: int64 [m], indices of the vectors to show; these are held in memory as float32.
        seed: random seed of the layout.

    Returns:
        float32 [m, 2], without unit; the first two principal components for fewer than 32 points.

    Raises:
        ModelError: a vector is not finite.
        ConfigError: umap-learn is not installed.
    """
    if not len(rows):
        return np.empty((0, 2), np.float32)
    chosen = check_matrix(as_float32(vectors[rows]), 0)
    if len(rows) < MIN_FOR_UMAP:
        return _project_on_principal_components(chosen)
    umap = require_extra("umap", "maps")
    with warnings.catch_warnings():
        # UMAP warns that a seed means one thread, which is intended, and about isolated points.
        warnings.simplefilter("ignore")
        made = umap.UMAP(n_neighbors=NEIGHBORS, min_dist=0.1, metric="cosine", random_state=seed, n_jobs=1)
        places: np.ndarray = np.asarray(made.fit_transform(chosen), np.float32)
    # UMAP gives no coordinates to a point without neighbors: put it in the middle of the map.
    lost = ~np.isfinite(places).all(axis=1)
    places[lost] = places[~lost].mean(axis=0) if (~lost).any() else 0
    return places


def _project_on_principal_components(vectors: np.ndarray) -> np.ndarray:
    """Return the first two principal components, with signs that do not depend on the platform.

    The largest entry of each component is positive.
    """
    centered = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centered, full_matrices=False)
    out = np.zeros((len(vectors), 2), np.float32)
    for axis, direction in enumerate(directions[:2]):
        sign = np.sign(direction[np.argmax(np.abs(direction))])
        out[:, axis] = centered @ (direction * sign)
    return out
