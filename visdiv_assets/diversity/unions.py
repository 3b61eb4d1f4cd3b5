"""The contribution of each subset to the union of all: leave-one-out moments, and a greedy order of subsets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent


def union(moments: Mapping[str, Moments]) -> Moments:
    """Return the moments of all subsets together.

    Raises:
        InputError: there is no subset.
        ModelError: two subsets were embedded by different models.
    """
    if not moments:
        raise InputError("a union needs at least one subset: give its moments")
    first, *others = moments.values()
    return sum(others, first)


def leave_one_out(moments: Mapping[str, Moments], progress: Progress = silent) -> dict[str, Moments]:
    """Return the moments of the union without each subset, by the name of this subset.

    Nothing is subtracted: the sums before and after each subset are added, so that no precision is lost.

    Args:
        moments: moments by subset.
        progress: called once per subset.
    """
    names = list(moments)
    if not names:
        return {}
    empty = Moments.zero(moments[names[0]].dimension, model_id=moments[names[0]].model_id)
    after = [empty]
    for name in reversed(names[1:]):
        after.append(moments[name] + after[-1])
    found = {}
    before = empty
    for name, rest in zip(names, reversed(after), strict=True):
        found[name] = before + rest
        before = before + moments[name]
        progress(1)
    return found


def greedy_order(moments: Mapping[str, Moments]) -> list[str]:
    """Order the subsets greedily by the diversity of their union.

    The first subset has the largest uncentered participation ratio; each next one makes that of the union largest. Ties
    go to the first name. The ratio tr^2 / |M|_F^2 of a union follows from the products of the second moments of all
    pairs of subsets, so no eigenvalues are needed.

    Raises:
        ModelError: two subsets were embedded by different models.
    """
    names = sorted(moments)
    if not names:
        return []
    union(moments)
    flat = np.stack([moments[name].second_moment.ravel() for name in names])
    products = flat @ flat.T
    traces = np.array([float(np.trace(moments[name].second_moment)) for name in names])
    own = np.diagonal(products)
    left = np.ones(len(names), bool)
    order: list[str] = []
    trace, squares, shared = 0.0, 0.0, np.zeros(len(names))
    while left.any():
        together = squares + 2 * shared + own
        ratio = np.divide((trace + traces) ** 2, together, out=np.zeros(len(names)), where=together > 0)
        chosen = int(np.argmax(np.where(left, ratio, -1.0)))
        order.append(names[chosen])
        left[chosen] = False
        trace, squares = trace + traces[chosen], float(together[chosen])
        shared = shared + products[chosen]
    return order
