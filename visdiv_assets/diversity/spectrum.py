"""The eigenvalues behind the scores."""

from __future__ import annotations

import numpy as np

from visdiv_assets.diversity.moments import Moments


def spectrum(moments: Moments) -> np.ndarray:
    """Return each direction's share of the variance, float64 [<= D], the largest first; empty without variance."""
    if moments.n < 2:
        return np.empty(0)
    values = np.linalg.eigvalsh(moments.covariance())[::-1]
    values = values[values > 1e-9 * max(float(values[0]), 1e-12)]
    shares: np.ndarray = values / values.sum() if len(values) else values
    return shares
