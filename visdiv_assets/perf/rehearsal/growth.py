"""How cost grows with the number of images, and what follows for more of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The power of the size that values grow with: least squares of the logarithms; None for fewer than two sizes."""
    if len(set(sizes)) < 2 or min(values) <= 0:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def fixed_and_growing(sizes: Sequence[float], values: Sequence[float], power: float) -> tuple[float, float]:
    """What values consist of: a part that is always the same, and one for each unit of a power of the size.

    Least squares of the relative errors; neither part is negative.
    """
    from scipy.optimize import nnls

    against = np.array(values, np.float64)
    terms = np.stack([np.ones(len(sizes)), np.array(sizes, np.float64) ** power], axis=1)
    # Of one magnitude, since the solver knows no other.
    scale = terms.max(axis=0)
    fixed, growing = nnls(terms / scale / against[:, None], np.ones(len(against)))[0] / scale
    return float(fixed), float(growing)


def extrapolate(sizes: Sequence[float], values: Sequence[float], to: float, power: float) -> float:
    """The value at another size, from that of the largest measured and a power of the size."""
    largest = int(np.argmax(sizes))
    return float(values[largest] * (to / sizes[largest]) ** power)
