"""Moments and their scores against `np.cov` and `eigvalsh`, over one memory-mapped file of vectors.

Each measurement runs in a separate process, so that its peak memory belongs to one side only. The peak counts anonymous
memory beyond that after the imports; the mapped input is not included.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from visdiv_assets.perf.measuring import Figure, Run, measure_in_subprocess
from visdiv_assets.perf.vectors import FLAT_RANK, Distribution, write_vectors
from visdiv_assets.progress import Progress, silent

DIMENSION = 512
DTYPES = ("float16", "float32")
ROWS_AT_A_TIME = 16_384

Ranks = tuple[float, float]


def measure(vectors: int = 1_000_000, rounds: int = 2, progress: Progress = silent) -> list[Figure]:
    """Measure both sides in turn; the minimum time and the maximum peak of the rounds count.

    Args:
        vectors: number of vectors of 512 dimensions; a million takes 2 GB of temporary files.
        rounds: number of times that each side runs.
        progress: called after every run.

    Returns:
        a figure for each dtype. Its remark is the larger of the relative errors of our effective rank and participation
        ratio, compared with normalization and summation in float64.
    """
    figures = []
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
            path = Path(folder) / "vectors.npy"
            write_vectors(path, Distribution.with_rank(FLAT_RANK, DIMENSION), vectors, dtype=dtype)
            sides: list[list[Run]] = [[], []]
            for _ in range(rounds):
                for side, prepare in zip(sides, (_ours, _peer), strict=True):
                    side.append(measure_in_subprocess(prepare, path))
                    progress(1)
            exact = measure_in_subprocess(_all_float64, path).result
        ours, peer = (min(side, key=lambda run: run.seconds) for side in sides)
        peak, peer_peak = (max((run.peak_mb for run in side if run.peak_mb), default=None) for side in sides)
        error = max(abs(mine / true - 1) for mine, true in zip(ours.result, exact, strict=True))
        figures.append(
            Figure(
                f"moments of {vectors:,} {dtype} vectors",
                ours.seconds,
                "s",
                "np.cov + eigvalsh",
                peer.seconds,
                peer.seconds / ours.seconds,
                peak,
                peer_peak,
                f"relative error {error:.0e}",
            )
        )
    return figures


def _ours(path: Path) -> Callable[[], Ranks]:
    from visdiv_assets.diversity.moments import Moments
    from visdiv_assets.diversity.scores import scores

    vectors = np.load(path, mmap_mode="r")

    def work() -> Ranks:
        result = scores(Moments.from_vectors(vectors))
        return float(result.effective_rank or 0), float(result.participation_ratio or 0)

    return work


def _peer(path: Path) -> Callable[[], Ranks]:
    vectors = np.load(path, mmap_mode="r")
    return lambda: _ranks(np.cov(vectors, rowvar=False, dtype=np.float64))


def _all_float64(path: Path) -> Callable[[], Ranks]:
    x = np.load(path, mmap_mode="r")

    def work() -> Ranks:
        total, second = np.zeros(DIMENSION), np.zeros((DIMENSION, DIMENSION))
        for start in range(0, len(x), ROWS_AT_A_TIME):
            rows = x[start : start + ROWS_AT_A_TIME].astype(np.float64)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            total += rows.sum(axis=0)
            second += rows.T @ rows
        return _ranks(second / len(x) - np.outer(total, total) / len(x) ** 2)

    return work


def _ranks(matrix: np.ndarray) -> Ranks:
    values = np.linalg.eigvalsh(matrix)
    shares = values[values > 0] / values[values > 0].sum()
    return math.exp(-float(shares @ np.log(shares))), 1 / float(shares @ shares)
