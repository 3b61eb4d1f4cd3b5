"""The most diverse mixture: how much of each subset makes the union as diverse as it can be.

The second moment of a mixture, R(w) = sum w_i R_i, is linear in the weights. Its entropy -tr(R log R) is concave (von
Neumann), and so is -tr(R^2); the exponential of the one is the uncentered effective rank, which for unit vectors is the
Vendi score, the inverse of the other the uncentered participation ratio. So the best weights can be found and
certified: the Frank-Wolfe gap, max over feasible v of <gradient, v - w>, bounds what any other weights could gain
(Jaggi 2013).

The weights are found by the spectral projected gradient method (Birgin, Martinez and Raydan 2000): steps along the
gradient, projected onto the weights within bounds, as long as Barzilai and Borwein's estimate of the curvature says.
Centered scores are not concave in the weights, so nothing could be certified of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from visdiv_assets.diversity.accumulate import Float64Array
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.simplex import best_weights, check_bounds, nearest_weights
from visdiv_assets.errors import InputError

OBJECTIVES = ("effective_rank", "vendi", "participation_ratio")

#: Eigenvalues below this count as this in logarithms, so that a direction that the mixture lacks gains much, not all.
MIN_EIGENVALUE = 1e-18

#: A step must gain this share of what the gradient promises, compared with the worst of so many steps before.
SUFFICIENT = 1e-4
REMEMBERED = 8


@dataclass(frozen=True)
class Mixture:
    """Weights of subsets, and what is known of them.

    Attributes:
        weights: float64 [n], 0 or more, summing to 1.
        score: the uncentered effective rank or participation ratio of the mixture.
        best_possible: no weights within the bounds have a higher score than this.
        iterations: steps that it took.
        converged: whether the gap that was asked for was reached.
    """

    weights: Float64Array
    score: float
    best_possible: float
    iterations: int
    converged: bool


class Objective(Protocol):
    """A concave function of weights, and the score that it stands for."""

    def value(self, weights: Float64Array) -> tuple[float, Float64Array]:
        """The function at weights [n], and its gradient [n]."""
        ...

    def score(self, value: float) -> float:
        """The score of a value; rises with it."""
        ...


class Entropy:
    """-tr(R log R) of the mixture; its score is exp of it."""

    def __init__(self, moments: Sequence[Moments]) -> None:
        """Hold the subsets' second moments, half of each symmetric matrix: 1 MB each for 512 dimensions."""
        self._dimension = moments[0].dimension
        self._upper = np.triu_indices(self._dimension)
        # Off the diagonal everything occurs twice: with this, products of halves are those of whole matrices.
        self._scale = np.where(self._upper[0] == self._upper[1], 1.0, math.sqrt(2.0))
        self._halves = np.stack([of_subset.uncentered()[self._upper] * self._scale for of_subset in moments])

    def value(self, weights: Float64Array) -> tuple[float, Float64Array]:
        """See `Objective`."""
        mixed = np.zeros((self._dimension, self._dimension))
        mixed[self._upper] = (weights @ self._halves) / self._scale
        values, vectors = np.linalg.eigh(mixed, UPLO="U")
        positive = values[values > 0]
        logarithm = (vectors * np.log(np.maximum(values, MIN_EIGENVALUE))) @ vectors.T
        return -float(positive @ np.log(positive)), -(self._halves @ (logarithm[self._upper] * self._scale))

    def score(self, value: float) -> float:
        """See `Objective`."""
        return math.exp(value)


class Purity:
    """-tr(R^2) of the mixture, a quadratic function of the weights; its score is the inverse."""

    def __init__(self, moments: Sequence[Moments]) -> None:
        """Hold the products <R_i, R_j> of all two subsets."""
        flat = np.stack([of_subset.uncentered().ravel() for of_subset in moments])
        self._products = flat @ flat.T

    def value(self, weights: Float64Array) -> tuple[float, Float64Array]:
        """See `Objective`."""
        product = self._products @ weights
        return -float(weights @ product), -2.0 * product

    def score(self, value: float) -> float:
        """See `Objective`."""
        return -1.0 / value if value < 0 else math.inf


def best_mixture(
    moments: Sequence[Moments],
    *,
    objective: str = "effective_rank",
    lower: Float64Array | None = None,
    upper: Float64Array | None = None,
    tolerance: float = 1e-7,
    most_iterations: int = 2_000,
) -> Mixture:
    """Find the weights of subsets whose mixture is the most diverse.

    Args:
        moments: of each subset, of unit vectors of one model, none empty.
        objective: one of `OBJECTIVES`; `vendi` is `effective_rank`, both uncentered.
        lower: smallest weights [n]; None: 0.
        upper: largest weights [n]; None: 1.
        tolerance: the gap that ends the search: of the entropy in nats, so 1e-7 is one ten-millionth of the effective
            rank; of tr(R^2) relative to it.
        most_iterations: the search ends after this many steps, certified as far as it came.

    Raises:
        InputError: there is no subset, one is empty or of another model, vectors are not of unit length, the objective
            is unknown, or no weights lie within the bounds.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"{objective!r} is no objective of a mixture: use {', '.join(OBJECTIVES)}")
    _check(moments)
    low, high = check_bounds(lower, upper, len(moments))
    function: Objective = Purity(moments) if objective == "participation_ratio" else Entropy(moments)
    weights = nearest_weights(np.full(len(moments), 1.0 / len(moments)), low, high)
    value, gradient = _centered(function, weights)
    step = 1.0
    before = deque([value], maxlen=REMEMBERED)
    iterations = 0
    while True:
        gap = max(0.0, float(gradient @ (best_weights(gradient, low, high) - weights)))
        wanted = tolerance * (abs(value) if objective == "participation_ratio" else 1.0)
        direction = nearest_weights(weights + step * gradient, low, high) - weights
        promised = float(gradient @ direction)
        # A step promises about the square of the gap: where that drowns in rounding, at gaps of 1e-8, the search ends.
        if gap <= wanted or iterations == most_iterations or promised <= 0:
            return Mixture(
                weights, function.score(value), function.score(value + gap), iterations, converged=gap <= wanted
            )
        share = 1.0
        while True:
            moved = weights + share * direction
            new_value, new_gradient = _centered(function, moved)
            # Rounding decides when there is nothing left to gain.
            if new_value >= min(before) + SUFFICIENT * share * promised or share < 1e-9:
                break
            share /= 2
        change = moved - weights
        curvature = -float(change @ (new_gradient - gradient))
        step = float(np.clip(float(change @ change) / curvature, 1e-9, 1e9)) if curvature > 0 else 1e3
        weights, value, gradient = moved, new_value, new_gradient
        before.append(value)
        iterations += 1


def _centered(function: Objective, weights: Float64Array) -> tuple[float, Float64Array]:
    """Value and gradient; what is added to all of the gradient means nothing where weights sum to 1, but rounds."""
    value, gradient = function.value(weights)
    return value, gradient - float(gradient @ weights)


def score_of(moments: Sequence[Moments], weights: Float64Array, objective: str = "effective_rank") -> float:
    """The score of a mixture with given weights [n]; as `best_mixture` measures it."""
    _check(moments)
    function: Objective = Purity(moments) if objective == "participation_ratio" else Entropy(moments)
    return function.score(function.value(np.asarray(weights, np.float64))[0])


def _check(moments: Sequence[Moments]) -> None:
    if not moments:
        raise InputError("a mixture needs at least one subset with images")
    for of_subset in moments:
        if of_subset.n < 1 or not of_subset.unit:
            raise InputError("a mixture is made of subsets that hold images, as vectors of unit length")
        if (of_subset.model_id, of_subset.dimension) != (moments[0].model_id, moments[0].dimension):
            raise InputError(
                f"subsets of the models {moments[0].model_id!r} and {of_subset.model_id!r} cannot be mixed: embed both "
                "with the same model"
            )
