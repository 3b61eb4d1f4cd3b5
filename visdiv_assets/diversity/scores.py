"""Diversity scores as pure functions of `Moments`.

With l the eigenvalues of a matrix C, and p = l / sum(l):

- effective rank: exp(-sum p ln p);
- participation ratio: (sum l)^2 / sum l^2 = tr(C)^2 / |C|_F^2;
- score: sqrt(effective rank * participation ratio) / D.

These are FineVision's definitions (arXiv 2510.17269, section 3.3, and the article published with it for the score).
C is the covariance (centered) or the second moment M / n (uncentered). The paper says both "covariance" and
"equivalent to the Vendi score"; the latter holds only for the second moment, so both are computed, and `centered`
tells them apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from visdiv_assets.diversity.accumulate import Float64Array
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError

#: Variance, as a share of the mean squared length, up to which vectors count as identical. Two runs of a float32
#: model on one image give about 1e-14, the rounding of the sums gives less; one fp16 step gives 1e-7.
IDENTICAL = 1e-12

#: Eigenvalue, as a share of the mean squared length, up to which it is only rounding of the sums.
ROUNDING = 1e-15


@dataclass(frozen=True)
class DiversityScores:
    """The scores of one set of images under one model; None where a score is not defined.

    Attributes:
        images: positions in the set; an image that occurs three times counts three times.
        dimension: dimension D of the embeddings.
        centered: True if the scores are of the covariance, False if they are of the second moment.
        effective_rank: 1 to min(D, images - 1 if centered else images).
        participation_ratio: 1 to `effective_rank`. It is biased low for small sets: 1 / participation_ratio is too
            large by about 1 / (images - 1).
        participation_ratio_unbiased: estimate of the ratio of a much larger sample; may exceed D. None for fewer
            than 4 images (2 if uncentered), or too few to estimate its denominator.
        vendi: Vendi score of order 1, which is the uncentered effective rank; the same for both values of `centered`.
        score: sqrt(effective_rank * participation_ratio) / dimension, 0 to 1.
        mean_norm: length of the mean vector; 0 to 1 for unit vectors.
    """

    images: int
    dimension: int
    centered: bool
    effective_rank: float | None = None
    participation_ratio: float | None = None
    participation_ratio_unbiased: float | None = None
    vendi: float | None = None
    score: float | None = None
    mean_norm: float | None = None


def scores(moments: Moments, *, centered: bool = True) -> DiversityScores:
    """Compute all scores of a set of images.

    Every score of fewer than two images is None. Identical images have no variance: their centered scores are 0
    (0/0 by definition), and their uncentered ranks are 1. The unbiased participation ratio and the Vendi score are
    defined for vectors of unit length and are None for others.

    Repeated images (integer weights) count as separate positions. Repeating the whole set changes no score except the
    unbiased ratio, which treats each position as an independent draw.

    Args:
        moments: the sums over the set.
        centered: True for the scores of the covariance (as `numpy.cov`), False for those of the second moment.

    Example:
        >>> import numpy as np
        >>> from visdiv_assets import Moments, scores
        >>> found = scores(Moments.from_vectors(np.eye(4)), centered=False)
        >>> round(found.effective_rank, 6), round(found.participation_ratio, 6), round(found.score, 6)
        (4.0, 4.0, 1.0)
    """
    if moments.n < 2:
        return DiversityScores(moments.n, moments.dimension, centered)
    uncentered = moments.uncentered()
    matrix = moments.covariance() if centered else uncentered
    length = float(np.trace(uncentered))
    if not float(np.trace(matrix)) > IDENTICAL * length:
        rank = ratio = 0.0
        unbiased: float | None = 0.0
    else:
        rank = effective_rank(matrix, rounding=ROUNDING * length)
        ratio = participation_ratio(matrix)
        unbiased = unbiased_participation_ratio(moments, centered=centered)
    vendi = None
    if moments.unit:
        vendi = effective_rank(uncentered, rounding=ROUNDING * length) if centered else rank
    return DiversityScores(
        images=moments.n,
        dimension=moments.dimension,
        centered=centered,
        effective_rank=rank,
        participation_ratio=ratio,
        participation_ratio_unbiased=unbiased if moments.unit else None,
        vendi=vendi,
        score=combined_score(rank, ratio, moments.dimension),
        mean_norm=moments.mean_norm,
    )


def combined_score(effective_rank: float, participation_ratio: float, dimension: int) -> float:
    """Return FineVision's score: sqrt(effective rank * participation ratio) / dimension (512 in the publication).

    Raises:
        InputError: the dimension is less than 1 or a rank is negative.
    """
    if dimension < 1 or effective_rank < 0 or participation_ratio < 0:
        raise InputError(
            f"a score needs a dimension of 1 or more and ranks of 0 or more: got dimension {dimension}, effective rank "
            f"{effective_rank} and participation ratio {participation_ratio}"
        )
    return math.sqrt(effective_rank * participation_ratio) / dimension


def too_few(images: int, dimension: int) -> bool:
    """Return whether a set is too small to compare its scores with others': fewer than two images per dimension."""
    return images < 2 * dimension


def effective_rank(matrix: Float64Array, *, rounding: float = 0.0) -> float:
    """Return the exponential of the entropy of the eigenvalues' shares; 0 for a matrix of zeros.

    This is Roy and Vetterli's effective rank of a positive semi-definite matrix, whose singular values are its
    eigenvalues. The effective rank of the embedding matrix itself would use their square roots and be larger.

    Args:
        matrix: float64 [D, D], symmetric and, up to rounding, positive semi-definite.
        rounding: eigenvalues up to this value count as 0, as do negative ones.
    """
    values = np.linalg.eigvalsh(matrix)
    values = values[values > rounding]
    if values.size == 0:
        return 0.0
    shares = values / values.sum()
    return math.exp(-float(shares @ np.log(shares)))


def participation_ratio(matrix: Float64Array) -> float:
    """Return tr(C)^2 / |C|_F^2, which equals (sum l)^2 / sum l^2; 0 for a matrix of zeros."""
    squares = float(np.vdot(matrix, matrix))
    return float(np.trace(matrix)) ** 2 / squares if squares > 0 else 0.0


def unbiased_participation_ratio(moments: Moments, *, centered: bool = True) -> float | None:
    """Estimate the participation ratio of unit vectors, its numerator and its denominator each without bias.

    Both are U-statistics, averages over tuples of different images:

    - centered, i, j, k, l different (arXiv 2509.26560, estimator for sampled rows and all columns observed):
      tr(C)^2 as the mean of 1 - 2 xi.xj + (xi.xj)(xk.xl) and
      |C|_F^2 as the mean of (xi.xj)^2 - 2 (xi.xj)(xi.xk) + (xi.xj)(xk.xl);
    - uncentered: the trace of M / n is 1 for unit vectors, so tr^2 = 1 exactly, and
      |R|_F^2 is the mean of (xi.xj)^2, which is (|M|_F^2 - n) / (n (n - 1)).

    Returns:
        The ratio. None if there are fewer than 4 images (2 if uncentered), if the vectors do not have unit length, or
        if the estimated denominator is not positive, which happens by chance for few, nearly orthogonal images.
    """
    n = float(moments.n)
    if not moments.unit or moments.n < (4 if centered else 2):
        return None
    if not centered:
        squares = float(np.vdot(moments.second_moment, moments.second_moment))
        denominator = squares - n
        return n * (n - 1) / denominator if denominator > IDENTICAL * squares else None
    # Subtracting one vector from all leaves both averages unchanged, so the mean is subtracted: sum y = 0 then removes
    # most terms and, with them, the cancellation in sums of nearly parallel vectors. The fourth-order sum |y|^4
    # follows from |x| = 1, as |y|^2 = 1 - 2 x.mean + |mean|^2. Both averages are multiplied by n(n-1)(n-2)(n-3).
    mean = moments.sum_x / n
    scatter = moments.second_moment - np.outer(moments.sum_x, mean)
    trace = float(np.trace(scatter))
    squares = float(np.vdot(scatter, scatter))
    fourth = trace**2 / n + 4 * max(0.0, float(mean @ scatter @ mean))
    numerator = trace**2 * (n * n - 3 * n + 1) - n * (n - 1) * fourth + 2 * squares
    denominator = (n - 1) * (n - 2) * squares - n * (n - 1) * fourth + trace**2
    # A difference this small, relative to the largest term, is only rounding.
    if denominator <= IDENTICAL * n * n * max(squares, fourth):
        return None
    return numerator / denominator
