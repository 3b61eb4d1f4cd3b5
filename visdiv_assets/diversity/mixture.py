"""The weights of subsets that make the most diverse mixture.

The second moment of a mixture, R(w) = sum w_i R_i, is linear in the weights. Its entropy -tr(R log R) is concave (von
Neumann), and so is -tr(R^2). The exponential of the entropy is the uncentered effective rank, which for unit vectors is
the Vendi score; the inverse of tr(R^2) is the uncentered participation ratio. So the best weights can be found and
certified: the Frank-Wolfe gap, max over feasible v of <gradient, v - w>, bounds what any other weights could gain
(Jaggi 2013).

The weights are found by the spectral projected gradient method (Birgin, Martinez and Raydan 2000): steps along the
gradient, projected onto the weights within bounds, with the length of Barzilai and Borwein's estimate of the curvature.
Centered scores are not concave in the weights, so they could not be certified.
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
from visdiv_assets.errors import InputError, ModelError

OBJECTIVES = ("effective_rank", "vendi", "participation_ratio")

#: Lower bound of eigenvalues in logarithms, so that the gain of a direction that the mixture lacks is large but finite.
MIN_EIGENVALUE = 1e-18

#: A step must gain this share of the gradient's prediction over the worst of the last `MEMORY` values.
MIN_GAIN = 1e-4
MEMORY = 8


@dataclass(frozen=True)
class Mixture:
    """Weights of subsets, with their score and a bound of it.

    Attributes:
        weights: float64 [n], 0 or more, summing to 1.
        score: uncentered effective rank or participation ratio of the mixture.
        best_possible: upper bound of the score of any weights within the bounds.
        iterations: number of steps.
        converged: True if the gap fell to the tolerance.
    """

    weights: Float64Array
    score: float
    best_possible: float
    iterations: int
    converged: bool


class Objective(Protocol):
    """A concave function of weights, and the score that increases with it."""

    def value(self, weights: Float64Array) -> tuple[float, Float64Array]:
        """Return the function at weights [n], and its gradient [n]."""
        ...

    def score(self, value: float) -> float:
        """Return the score for a value of the function."""
        ...


class Entropy:
    """The entropy -tr(R log R) of the mixture; the score is its exponential."""

    def __init__(self, moments: Sequence[Moments]) -> None:
        """Store half of each subset's symmetric second moment: 1 MB each for 512 dimensions."""
        self._dimension = moments[0].dimension
        self._upper = np.triu_indices(self._dimension)
        # Entries off the diagonal occur twice; with this scale, products of halves are those of whole matrices.
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
    """The negative purity -tr(R^2) of the mixture, quadratic in the weights; the score is the inverse of tr(R^2)."""

    def __init__(self, moments: Sequence[Moments]) -> None:
        """Compute the products <R_i, R_j> of all pairs of subsets."""
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
    max_iterations: int = 2_000,
) -> Mixture:
    """Find the weights of subsets that make the most diverse mixture.

    Args:
        moments: moments of each subset, not empty, of unit vectors of one model.
        objective: one of `OBJECTIVES`; "vendi" is the same as "effective_rank", since both are uncentered.
        lower: lower bounds of the weights [n]; None: 0.
        upper: upper bounds of the weights [n]; None: 1.
        tolerance: gap at which the search ends. For the effective rank it is the gap of the entropy in nats, so 1e-7
            is one ten-millionth of the rank; for the participation ratio it is relative to tr(R^2).
        max_iterations: maximum number of steps; `best_possible` is valid in any case.

    Raises:
        InputError: there is no subset, one is empty, vectors do not have unit length, the objective is unknown, or no
            weights lie within the bounds.
        ModelError: two subsets were embedded by different models.
    """
    if objective not in OBJECTIVES:
        raise InputError(f"unknown objective {objective!r} of a mixture: use one of {', '.join(OBJECTIVES)}")
    _check_moments(moments)
    low, high = check_bounds(lower, upper, len(moments))
    function: Objective = Purity(moments) if objective == "participation_ratio" else Entropy(moments)
    weights = nearest_weights(np.full(len(moments), 1.0 / len(moments)), low, high)
    value, gradient = _value_and_gradient(function, weights)
    step = 1.0
    last_values = deque([value], maxlen=MEMORY)
    iterations = 0
    while True:
        gap = max(0.0, float(gradient @ (best_weights(gradient, low, high) - weights)))
        max_gap = tolerance * (abs(value) if objective == "participation_ratio" else 1.0)
        direction = nearest_weights(weights + step * gradient, low, high) - weights
        predicted = float(gradient @ direction)
        # The predicted gain is about the square of the gap. The search ends when it is only rounding, at gaps of 1e-8.
        if gap <= max_gap or iterations == max_iterations or predicted <= 0:
            return Mixture(
                weights, function.score(value), function.score(value + gap), iterations, converged=gap <= max_gap
            )
        share = 1.0
        while True:
            moved = weights + share * direction
            new_value, new_gradient = _value_and_gradient(function, moved)
            # A tiny share means that no gain is left beyond rounding.
            if new_value >= min(last_values) + MIN_GAIN * share * predicted or share < 1e-9:
                break
            share /= 2
        change = moved - weights
        curvature = -float(change @ (new_gradient - gradient))
        step = float(np.clip(float(change @ change) / curvature, 1e-9, 1e9)) if curvature > 0 else 1e3
        weights, value, gradient = moved, new_value, new_gradient
        last_values.append(value)
        iterations += 1


def _value_and_gradient(function: Objective, weights: Float64Array) -> tuple[float, Float64Array]:
    """Return the value and the gradient, less its weighted mean.

    A constant added to all of the gradient has no effect where weights sum to 1, but it adds rounding errors.
    """
    value, gradient = function.value(weights)
    return value, gradient - float(gradient @ weights)


def score_of(moments: Sequence[Moments], weights: Float64Array, objective: str = "effective_rank") -> float:
    """Return the score of a mixture with given weights [n], as defined for `best_mixture`."""
    _check_moments(moments)
    function: Objective = Purity(moments) if objective == "participation_ratio" else Entropy(moments)
    return function.score(function.value(np.asarray(weights, np.float64))[0])


def _check_moments(moments: Sequence[Moments]) -> None:
    if not moments:
        raise InputError("a mixture needs at least one subset with images: give its moments")
    for index, of_subset in enumerate(moments):
        if of_subset.n < 1:
            raise InputError(f"subset {index} of the mixture has no images: remove it")
        if not of_subset.unit:
            raise InputError(f"the vectors of subset {index} of the mixture do not have unit length: normalize them")
        if (of_subset.model_id, of_subset.dimension) != (moments[0].model_id, moments[0].dimension):
            raise ModelError(
                f"subsets embedded by {moments[0].model_id!r} and {of_subset.model_id!r} cannot be mixed: embed both "
                "with the same model"
            )
