"""Diversity scores as pure functions of `Moments`.

With C the matrix whose eigenvalues l count, and p = l / sum(l):

- effective rank: exp(-sum p ln p);
- participation ratio: (sum l)^2 / sum l^2 = tr(C)^2 / |C|_F^2;
- score: sqrt(effective rank * participation ratio) / D.

These are FineVision's (arXiv 2510.17269, section 3.3, and the article published with it for the score). C is
the covariance (centered) or the second moment M / n (uncentered). The paper says both "covariance" and
"equivalent to the Vendi score"; the second holds for the uncentered one only, so both are offered and a row
says which it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from visdiv_assets.diversity.accumulate import Float64Array
from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError

#: Variance, as a share of the mean squared length, at and below which vectors count as identical. Two runs of
#: a float32 model on one image differ by about 1e-14, the rounding of the sums by less; one fp16 step is
#: 1e-7.
IDENTICAL = 1e-12

#: Eigenvalue, as a share of the mean squared length, at and below which it is rounding of the sums.
ROUNDING = 1e-15


@dataclass(frozen=True)
class DiversityScores:
    """The scores of one set of images under one model; None where a score is not defined.

    Attributes:
        images: positions in the set; an image that occurs three times counts three times.
        dimension: length D of the embeddings.
        centered: True if the scores are of the covariance, False if of the second moment.
        effective_rank: 1 to min(D, images - 1 if centered else images).
        participation_ratio: 1 to `effective_rank`. Small sets read low: 1 / participation_ratio is too large
            by about 1 / (images - 1).
        participation_ratio_unbiased: an estimate of what a much larger sample would give; may exceed D. None
            for fewer than 4 images (2 if uncentered), or too few to estimate its denominator.
        vendi: Vendi score of order 1, which is the uncentered effective rank, in both kinds of row.
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
    """All scores of a set of images.

    Fewer than two images have no diversity: every score is None. Identical images have no variance:
    centered, the scores are 0 (0/0 by definition) and uncentered the ranks are 1. The unbiased participation
    ratio and the Vendi score need vectors of unit length and are None for others.

    Repeated images (integer weights) count as separate positions. Repeating the whole set changes nothing
    except the unbiased ratio, which takes each position as a draw of its own.

    Args:
        moments: the sums over the set.
        centered: scores of the covariance (the default, as `numpy.cov`) or of the second moment.
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
    """FineVision's published score: sqrt(effective rank * participation ratio) / dimension, there 512.

    Raises:
        InputError: the dimension is less than 1 or a rank is negative.
    """
    if dimension < 1 or effective_rank < 0 or participation_ratio < 0:
        raise InputError("a diversity score needs a dimension of 1 or more and ranks of 0 or more")
    return math.sqrt(effective_rank * participation_ratio) / dimension


def effective_rank(matrix: Float64Array, *, rounding: float = 0.0) -> float:
    """The exponential of the entropy of the eigenvalues' shares; 0 for a matrix of zeros.

    Roy and Vetterli's effective rank of a positive semi-definite matrix, whose singular values are its
    eigenvalues. That of the embedding matrix itself would use their square roots and be larger.

    Args:
        matrix: float64 [D, D], symmetric and positive semi-definite but for rounding.
        rounding: eigenvalues up to this count as 0, as negative ones do.
    """
    values = np.linalg.eigvalsh(matrix)
    values = values[values > rounding]
    if values.size == 0:
        return 0.0
    shares = values / values.sum()
    return math.exp(-float(shares @ np.log(shares)))


def participation_ratio(matrix: Float64Array) -> float:
    """tr(C)^2 / |C|_F^2, which is (sum l)^2 / sum l^2 without the eigenvalues; 0 for a matrix of zeros."""
    squares = float(np.vdot(matrix, matrix))
    return float(np.trace(matrix)) ** 2 / squares if squares > 0 else 0.0


def unbiased_participation_ratio(moments: Moments, *, centered: bool = True) -> float | None:
    """Participation ratio of unit vectors, numerator and denominator each estimated without bias.

    Both are U-statistics, averages over tuples of different images:

    - centered, i, j, k, l different (arXiv 2509.26560, estimator for sampled rows and all columns observed):
      tr(C)^2 as the mean of 1 - 2 xi.xj + (xi.xj)(xk.xl) and
      |C|_F^2 as the mean of (xi.xj)^2 - 2 (xi.xj)(xi.xk) + (xi.xj)(xk.xl);
    - uncentered: the trace of M / n is 1 for unit vectors, so tr^2 = 1 exactly, and
      |R|_F^2 is the mean of (xi.xj)^2, which is (|M|_F^2 - n) / (n (n - 1)).

    Returns:
        The ratio. None if there are fewer than 4 images (2 if uncentered), if the vectors are not of unit
        length, or if the estimated denominator is not positive, which happens by chance for few and nearly
        orthogonal images.
    """
    n = float(moments.n)
    if not moments.unit or moments.n < (4 if centered else 2):
        return None
    if not centered:
        squares = float(np.vdot(moments.second_moment, moments.second_moment))
        below = squares - n
        return n * (n - 1) / below if below > IDENTICAL * squares else None
    # Each of the two averages is the same after subtracting one vector from all, so the mean is subtracted:
    # then sum y = 0 removes most terms and with them the cancellation that sums of nearly parallel vectors
    # suffer from. The fourth-order sum |y|^4 follows from |x| = 1, as |y|^2 = 1 - 2 x.mean + |mean|^2. Both
    # averages are multiplied by n(n-1)(n-2)(n-3).
    mean = moments.sum_x / n
    scatter = moments.second_moment - np.outer(moments.sum_x, mean)
    trace = float(np.trace(scatter))
    squares = float(np.vdot(scatter, scatter))
    fourth = trace**2 / n + 4 * max(0.0, float(mean @ scatter @ mean))
    above = trace**2 * (n * n - 3 * n + 1) - n * (n - 1) * fourth + 2 * squares
    below = (n - 1) * (n - 2) * squares - n * (n - 1) * fourth + trace**2
    # Relative to the largest term: a difference this small is rounding.
    if below <= IDENTICAL * n * n * max(squares, fourth):
        return None
    return above / below
