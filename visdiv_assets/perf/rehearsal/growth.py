"""Growth of cost with the number of images, and its extrapolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """Fit the exponent with which values grow, by least squares of logarithms; return None for fewer than two sizes."""
    if len(set(sizes)) < 2 or min(values) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def fixed_and_growing(sizes: Sequence[float], values: Sequence[float], power: float) -> tuple[float, float]:
    """Fit values as a + b * size ** power by least squares of the relative errors, and return a and b, both >= 0."""
    from scipy.optimize import nnls

    against = np.array(values, np.float64)
    terms = np.stack([np.ones(len(sizes)), np.array(sizes, np.float64) ** power], axis=1)
    # The solver needs terms of the same magnitude.
    scale = terms.max(axis=0)
    fixed, growing = nnls(terms / scale / against[:, None], np.ones(len(against)))[0] / scale
    return float(fixed), float(growing)


def extrapolate(sizes: Sequence[float], values: Sequence[float], to: float, power: float) -> float:
    """Extrapolate the value at the largest measured size to another size, by a power law."""
    largest = int(np.argmax(sizes))
    return float(values[largest] * (to / sizes[largest]) ** power)
