"""An upper bound on similarities that costs a fraction of the similarity itself.

Let Q hold k orthonormal directions, a = Q^T x and r = sqrt(|x|^2 - |a|^2), the length of the remainder. Then
x.y = a_x.a_y + (x - Q a_x).(y - Q a_y) <= a_x.a_y + r_x r_y by Cauchy-Schwarz, which is the inner product of the
(k + 1)-vectors (a, r). With the leading directions of the second moment r is small, and the bound lets few pairs pass
whose similarity does not reach the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visdiv_assets.vectors.matrix import Matrix

#: Numbers of directions to choose from. With the remainder they are multiples of 32, which multiply fastest.
CHOICES = (31, 63, 95, 127, 191, 255, 319, 383)

#: Vectors sampled for the choice: half of them to fit the directions, the others to count the pairs that pass.
SAMPLE = 4096

#: Added to |x|^2 - |a|^2, whose error in float32 is less than 4e-6 for unit vectors, so that r is never too small.
SLACK = 1e-5


@dataclass(frozen=True)
class Costs:
    """What the steps of a join cost; the unit is the multiplication of one dimension of a pair.

    Attributes:
        pair: writing a pair's product and comparing it with the bound.
        candidate: computing a pair in full.
    """

    pair: float
    candidate: float


@dataclass(frozen=True)
class Projection:
    """Directions to project on: float32 [d, k], orthonormal columns; or None, which keeps vectors whole."""

    directions: np.ndarray | None

    def apply(self, block: np.ndarray) -> np.ndarray:
        """Project float32 [n, d] to float32 [n, k + 1]: the coordinates and the length of the remainder."""
        if self.directions is None:
            return block
        coordinates = block @ self.directions
        rest = np.einsum("nd,nd->n", block, block) - np.einsum("nk,nk->n", coordinates, coordinates)
        return np.hstack([coordinates, np.sqrt(np.maximum(rest, 0) + SLACK)[:, None]])

    def width(self, dimension: int) -> int:
        """Return the number of columns to which vectors of a dimension are projected."""
        return dimension if self.directions is None else self.directions.shape[1] + 1


def choose_projection(left: Matrix, right: Matrix, bound: float, costs: Costs) -> Projection:
    """Choose the number of directions for which a join costs least, from samples of both sets.

    Args:
        left: vectors [n, d].
        right: vectors [m, d]; the same object as `left` in a self-join.
        bound: smallest projected product of a candidate: the threshold minus the margin for rounding.
        costs: what the steps of the join cost on its device.
    """
    x = _sample(left, SAMPLE if left is right else SAMPLE // 2)
    y = x if left is right else _sample(right, SAMPLE // 2)
    fitted = np.concatenate([x[::2], y[::2]])
    moment = (fitted.T @ fitted).astype(np.float64)
    # Counted on other vectors: of those that the directions were fitted to, ten times too few pairs would pass.
    x, y = (part[1::2] if len(part) > 1 else part for part in (x, y))
    directions = np.linalg.eigh(moment)[1][:, ::-1].astype(np.float32)
    best, least = Projection(None), np.inf
    choices = [Projection(np.ascontiguousarray(directions[:, :k])) for k in CHOICES if k < left.shape[1]]
    for projection in [*choices, Projection(None)]:
        multiplied = projection.width(left.shape[1]) + costs.pair
        if multiplied >= least:
            break
        passing = np.count_nonzero(projection.apply(x) @ projection.apply(y).T >= bound)
        # In a self-join, the pairs of a vector with itself always pass, and are no candidates.
        share = max(int(passing) - (len(x) if left is right else 0), 0) / (len(x) * len(y))
        if multiplied + share * costs.candidate < least:
            best, least = projection, multiplied + share * costs.candidate
    return best


def _sample(vectors: Matrix, size: int) -> np.ndarray:
    """Return evenly spaced rows as float32. Values that are not finite are 0 here; the join will refuse them."""
    rows = np.unique(np.linspace(0, vectors.shape[0] - 1, min(size, vectors.shape[0])).astype(np.int64))
    return np.nan_to_num(vectors[rows].astype(np.float32), nan=0, posinf=0, neginf=0)
