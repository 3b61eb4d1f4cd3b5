"""What each subset adds to the union of all: leave-one-out scores, and an order in which to add them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError
from visdiv_assets.progress import Progress, silent


def union(moments: Mapping[str, Moments]) -> Moments:
    """The moments of all subsets together.

    Raises:
        InputError: there is none, or two are of different models.
    """
    if not moments:
        raise InputError("a union needs at least one subset: materialize one")
    first, *others = moments.values()
    return sum(others, first)


def leave_one_out(moments: Mapping[str, Moments], progress: Progress = silent) -> dict[str, Moments]:
    """The moments of the union without each subset, by its name: what it adds is what the union loses.

    Nothing is subtracted: sums before and after each subset are added, so a small subset costs no precision.

    Args:
        moments: by subset.
        progress: told of every subset.
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
    """The subsets in an order that raises the diversity of their union fastest.

    Begins with the subset of the largest uncentered participation ratio and goes on with the one that makes the union's
    largest; ties go to the first name. Of a union, tr^2 / |M|_F^2 follows from the products of all two subsets'
    second moments, so 185 subsets take no eigenvalues.

    Raises:
        InputError: two subsets are of different models.
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
