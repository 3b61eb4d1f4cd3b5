"""Conformity: how common an image or text is among the others.

Source: Levi and Gilboa 2024, "The Double-Ellipsoid Geometry of CLIP", arXiv 2411.14517.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import unit_blocks


@dataclass(frozen=True, eq=False)
class UnitSum:
    """Sum of unit vectors; the sums of several sets can be added.

    Attributes:
        n: number of vectors.
        total: float64 [d], their sum.
    """

    n: int
    total: np.ndarray

    @classmethod
    def of(cls, vectors: Matrix) -> UnitSum:
        """Sum the rows [n, d], each scaled to length 1.

        Raises:
            InputError: a row is not finite or all zero.
        """
        total = np.zeros(vectors.shape[1])
        for _, block in unit_blocks(vectors):
            total += block.sum(axis=0, dtype=np.float64)
        return cls(vectors.shape[0], total)

    def __add__(self, other: UnitSum) -> UnitSum:
        return UnitSum(self.n + other.n, self.total + other.total)


def conformity(vectors: Matrix, among: UnitSum | None = None) -> np.ndarray:
    """Compute the mean cosine of each row to all other rows: high for common images, low for rare ones.

    The mean over j != i of u_i.u_j is computed exactly from the sum s of the unit vectors, as (u_i.s - 1) / (n - 1).
    The paper estimates it from the cosine to the mean vector, which is an affine function of it.

    Args:
        vectors: [n, d], images or texts of one model; scaled to length 1, read twice in blocks.
        among: sum over a larger set that contains these rows, such as all subsets (None: over these rows).

    Returns:
        float32 [n]; 0 if there is only one row.

    Raises:
        InputError: a row is not finite or all zero, or `among` has another dimension or fewer rows.
    """
    everything = among or UnitSum.of(vectors)
    if everything.n < vectors.shape[0] or everything.total.shape != vectors.shape[1:]:
        raise InputError(
            f"`among` sums {everything.n} vectors of {len(everything.total)} dimensions, but there are "
            f"{vectors.shape[0]} vectors of {vectors.shape[1]} dimensions: sum a set that contains these vectors"
        )
    out = np.zeros(vectors.shape[0], np.float32)
    if everything.n > 1:
        for start, block in unit_blocks(vectors):
            # In float64, since 1 is subtracted from a product that is large where vectors are similar.
            out[start : start + len(block)] = (block.astype(np.float64) @ everything.total - 1) / (everything.n - 1)
    return out
