"""Scores at equal numbers of pictures, so that a subset of 500 can be read beside one of 500,000.

Small sets read low: of n pictures the effective rank is at most n, and 1 / participation ratio is too large by about
1 / (n - 1). So each set is cut to the same number of pictures, drawn without replacement, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, scores
from visdiv_assets.search.matrix import Matrix

#: Numbers of pictures at which sets are compared.
SIZES = (1_024, 4_096, 16_384)
#: Draws of each size.
DRAWS = 8
#: Share of draws that the interval holds.
COVERAGE = 0.9


@dataclass(frozen=True)
class Rarefied:
    """A score at a number of pictures.

    Attributes:
        images: pictures drawn each time.
        draws: how often.
        mean: over the draws.
        low: the draws' 5 % quantile; the interval from it to `high` is that of the draws, not of the world.
        high: their 95 % quantile.
    """

    images: int
    draws: int
    mean: float
    low: float
    high: float


def rarefied(
    vectors: Matrix, size: int, *, centered: bool = True, draws: int = DRAWS, seed: int = 0, model_id: str = ""
) -> dict[str, Rarefied]:
    """Effective rank, participation ratio and score of random parts of a set.

    Args:
        vectors: unit vectors [n, d], one a position (or one a different picture); read at random places.
        size: pictures of a part. A set of exactly this size is one part, and its interval a point.
        centered: as in `scores`.
        draws: parts, each drawn without replacement.
        seed: of the draws.
        model_id: which model made the vectors.

    Returns:
        by the score's name; empty if there are fewer than `size` or than 2 pictures.
    """
    count = int(vectors.shape[0])
    if count < size or size < 2:
        return {}
    random = np.random.default_rng(seed)
    if count == size:
        draws = 1
    found: list[DiversityScores] = []
    for _ in range(draws):
        chosen = np.sort(random.choice(count, size, replace=False)) if count > size else np.arange(count)
        found.append(scores(Moments.from_vectors(vectors[chosen], model_id=model_id), centered=centered))
    result = {}
    for name in ("effective_rank", "participation_ratio", "score"):
        values = np.array([getattr(one, name) for one in found], np.float64)
        low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        result[name] = Rarefied(size, draws, float(values.mean()), float(low), float(high))
    return result


def too_few(images: int, dimension: int) -> bool:
    """Whether a set is too small for its scores to be compared with others': fewer than two pictures a dimension."""
    return images < 2 * dimension
