"""Scores at equal numbers of images, so that a subset of 500 can be read beside one of 500,000.

Small sets read low: of n images the effective rank is at most n, and 1 / participation ratio is too large by about
1 / (n - 1). So each set is cut to the same number of images, drawn without replacement, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, scores
from visdiv_assets.vectors.matrix import Matrix

#: Numbers of images at which sets are compared. Of 256 a set of 512 dimensions scores low, but all sets do alike.
SIZES = (256, 1_024, 4_096, 16_384)
#: Draws of each size.
DRAWS = 8
#: Share of draws that the interval holds.
COVERAGE = 0.9
#: What is scored.
SCORES = ("effective_rank", "participation_ratio", "score")

RAREFIED_SCHEMA = pa.schema(
    [
        ("model_id", pa.string()),
        ("images", pa.int64()),
        ("sample_size", pa.int64()),
        ("seeds", pa.int32()),
        *((f"{name}_{part}", pa.float64()) for name in SCORES for part in ("mean", "low", "high")),
        ("too_few", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Rarefied:
    """A score at a number of images.

    Attributes:
        images: images drawn each time.
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


def rarefy(
    vectors: Matrix,
    size: int,
    *,
    shown: np.ndarray | None = None,
    centered: bool = True,
    draws: int = DRAWS,
    seed: int = 0,
    model_id: str = "",
) -> dict[str, Rarefied]:
    """Effective rank, participation ratio and score of random parts of a set.

    Args:
        vectors: unit vectors [n, d], read at random places.
        shown: int64 [positions], the vector of each position that counts; None: each vector is a position.
        size: images of a part. A set of exactly this size is one part, and its interval a point.
        centered: as in `scores`.
        draws: parts, each drawn without replacement.
        seed: of the draws.
        model_id: which model made the vectors.

    Returns:
        by the score's name; empty if there are fewer than `size` or than 2 images.
    """
    count = int(vectors.shape[0]) if shown is None else len(shown)
    if count < size or size < 2:
        return {}
    random = np.random.default_rng(seed)
    if count == size:
        draws = 1
    found: list[DiversityScores] = []
    for _ in range(draws):
        chosen = random.choice(count, size, replace=False) if count > size else np.arange(count)
        rows, times = np.unique(chosen if shown is None else shown[chosen], return_counts=True)
        found.append(scores(Moments.from_vectors(vectors[rows], times, model_id=model_id), centered=centered))
    result = {}
    for name in SCORES:
        values = np.array([getattr(one, name) for one in found], np.float64)
        low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        result[name] = Rarefied(size, draws, float(values.mean()), float(low), float(high))
    return result


def rarefied_table(vectors: Matrix, shown: np.ndarray, *, model_id: str) -> pa.Table:
    """The centered scores of a subset at each of `SIZES` for which it has enough positions.

    Of 100,000 vectors of 512 dimensions 174,000 are read in all, in about 3 core-seconds; of more no more.

    Args:
        vectors: unit vectors [n, d], one a different image.
        shown: int64 [positions], the vector of each readable position.
        model_id: which model made the vectors.

    Returns:
        a row of `RAREFIED_SCHEMA` for each size.
    """
    rows = []
    for size in SIZES:
        found = rarefy(vectors, size, shown=shown, model_id=model_id)
        if found:
            numbers = {
                f"{name}_{part}": getattr(found[name], part) for name in SCORES for part in ("mean", "low", "high")
            }
            row = {"model_id": model_id, "images": len(shown), "sample_size": size, "seeds": found[SCORES[0]].draws}
            rows.append({**row, **numbers, "too_few": too_few(size, int(vectors.shape[1]))})
    return pa.Table.from_pylist(rows, schema=RAREFIED_SCHEMA)


def too_few(images: int, dimension: int) -> bool:
    """Whether a set is too small for its scores to be compared with others': fewer than two images a dimension."""
    return images < 2 * dimension
