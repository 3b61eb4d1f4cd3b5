"""Weights within bounds that sum to 1: the nearest to a point, and the best for a linear gain."""

from __future__ import annotations

import numpy as np

from visdiv_assets.diversity.accumulate import Float64Array
from visdiv_assets.errors import InputError


def check_bounds(
    lower: Float64Array | None, upper: Float64Array | None, count: int
) -> tuple[Float64Array, Float64Array]:
    """Check bounds of weights and return them as float64 [count]; None becomes 0 (lower) or 1 (upper).

    Raises:
        InputError: a bound is not between 0 and 1, a lower bound exceeds its upper bound, or no weights within the
            bounds sum to 1.
    """
    low = np.zeros(count) if lower is None else np.asarray(lower, np.float64)
    high = np.ones(count) if upper is None else np.asarray(upper, np.float64)
    if low.shape != (count,) or high.shape != (count,):
        raise InputError(f"give {count} lower and {count} upper bounds: got shapes {low.shape} and {high.shape}")
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or low.min() < 0 or high.max() > 1:
        raise InputError("the bounds of weights must be between 0 and 1")
    if (low > high).any():
        index = int(np.argmax(low > high))
        raise InputError(
            f"weight {index} has a lower bound of {low[index]:.6g}, above its upper bound {high[index]:.6g}: swap them"
        )

    if low.sum() > 1 + 1e-12 or high.sum() < 1 - 1e-12:
        raise InputError(
            f"no weights within the bounds sum to 1: the lower bounds sum to {low.sum():.6g}, the upper ones to "
            f"{high.sum():.6g}; decrease the lower bounds, increase the upper ones, or reduce the budget"
        )
    return low, high


def nearest_weights(point: Float64Array, lower: Float64Array, upper: Float64Array) -> Float64Array:
    """Return the weights within bounds that sum to 1 and are nearest to a point, all float64 [n].

    They are clip(point - t) for the t that makes the sum 1. The sum is piecewise linear in t with bends at
    point - lower and point - upper, so t is found exactly by a search among the sorted bends (Held, Wolfe and Crowder
    1974, with bounds).
    """

    def total(t: float) -> float:
        return float(np.clip(point - t, lower, upper).sum())

    bends = np.unique(np.concatenate([point - lower, point - upper]))
    first, last = 0, len(bends) - 1
    while last - first > 1:
        middle = (first + last) // 2
        if total(bends[middle]) >= 1:
            first = middle
        else:
            last = middle
    upper_sum, lower_sum = total(bends[first]), total(bends[last])
    share = (upper_sum - 1) / (upper_sum - lower_sum) if upper_sum > lower_sum else 0.0
    t = bends[first] + min(max(share, 0.0), 1.0) * (bends[last] - bends[first])
    result: Float64Array = np.clip(point - t, lower, upper)
    return result


def best_weights(gain: Float64Array, lower: Float64Array, upper: Float64Array) -> Float64Array:
    """Return the weights within bounds that sum to 1 and maximize `gain @ weights`.

    Starting from the lower bounds, weights are raised to their upper bounds in order of gain.
    """
    order = np.argsort(-gain, kind="stable")
    room = (upper - lower)[order]
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    result = lower.copy()
    result[order] += np.clip(1.0 - float(lower.sum()) - before, 0.0, room)
    return result
