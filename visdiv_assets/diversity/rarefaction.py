"""Scores of samples of equal size, so that a subset of 500 images can be compared with one of 500,000.

Scores of small sets are biased low: the effective rank of n images is at most n, and 1 / participation ratio is too
large by about 1 / (n - 1). So samples of the same number of images are drawn repeatedly from each set, without
replacement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.scores import DiversityScores, scores, too_few
from visdiv_assets.vectors.matrix import Matrix

#: Sample sizes at which sets are compared. With 512 dimensions, scores of 256 images are low, but equally so for all.
SIZES = (256, 1_024, 4_096, 16_384)
#: Number of samples of each size.
DRAWS = 8
#: Share of the samples within the interval.
COVERAGE = 0.9
#: Names of the scores computed.
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
    """A score of samples of one size.

    Attributes:
        images: number of images in a sample.
        draws: number of samples.
        mean: mean over the samples.
        low: 5 % quantile of the samples. The interval to `high` describes the samples of this set only; it is not a
            confidence interval for a population.
        high: 95 % quantile of the samples.
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
    """Compute the effective rank, participation ratio and score of random samples of a set.

    Args:
        vectors: unit vectors [n, d], read at random rows.
        shown: int64 [positions], index of the vector of each position; None: each vector is one position.
        size: number of images in a sample. A set of exactly this size is its only sample, with an interval of width 0.
        centered: as in `scores`.
        draws: number of samples, each drawn without replacement.
        seed: seed of the draws.
        model_id: model that made the vectors.

    Returns:
        `Rarefied` by the name of the score; empty if there are fewer than `size` or fewer than 2 images.
    """
    count = int(vectors.shape[0]) if shown is None else len(shown)
    if count < size or size < 2:
        return {}
    random = np.random.default_rng(seed)
    if count == size:
        draws = 1
    sampled: list[DiversityScores] = []
    for _ in range(draws):
        chosen = random.choice(count, size, replace=False) if count > size else np.arange(count)
        rows, times = np.unique(chosen if shown is None else shown[chosen], return_counts=True)
        sampled.append(scores(Moments.from_vectors(vectors[rows], times, model_id=model_id), centered=centered))
    result = {}
    for name in SCORES:
        values = np.array([getattr(of_sample, name) for of_sample in sampled], np.float64)
        low, high = np.quantile(values, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        result[name] = Rarefied(size, draws, float(values.mean()), float(low), float(high))
    return result


def rarefied_table(vectors: Matrix, shown: np.ndarray, *, model_id: str) -> pa.Table:
    """Compute the centered scores of a subset at each of `SIZES` for which it has enough positions.

    At most 174,000 vectors are read in total, however many there are: about 3 core-seconds for 512 dimensions.

    Args:
        vectors: unit vectors [n, d], one per distinct image.
        shown: int64 [positions], index of the vector of each readable position.
        model_id: model that made the vectors.

    Returns:
        table of `RAREFIED_SCHEMA`, one row for each size.
    """
    rows = []
    for size in SIZES:
        found = rarefy(vectors, size, shown=shown, model_id=model_id)
        if found:
            values = {
                f"{name}_{part}": getattr(found[name], part) for name in SCORES for part in ("mean", "low", "high")
            }
            row = {"model_id": model_id, "images": len(shown), "sample_size": size, "seeds": found[SCORES[0]].draws}
            rows.append({**row, **values, "too_few": too_few(size, int(vectors.shape[1]))})
    return pa.Table.from_pylist(rows, schema=RAREFIED_SCHEMA)
