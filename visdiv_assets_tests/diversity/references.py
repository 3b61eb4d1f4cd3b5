"""Slow, plain reference implementations, and sets of vectors to compare them on."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from visdiv_assets.diversity import DiversityScores, Moments, scores


def unit_rows(x: ArrayLike) -> np.ndarray:
    rows = np.asarray(x, dtype=np.float64)
    units: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def scores_of(embeddings: ArrayLike, centered: bool = True) -> DiversityScores:
    """Return the scores of rows, scaled to unit length."""
    return scores(Moments.from_vectors(embeddings), centered=centered)


def known(value: float | None) -> float:
    """Return a score that must be defined."""
    assert value is not None
    return value


def random_unit(seed: int, n: int, d: int, rank: int | None = None, offset: float = 0.0) -> np.ndarray:
    """Unit vectors of uneven spread: a power law over `rank` directions, shifted by `offset` along one."""
    rng = np.random.default_rng(seed)
    rank = rank or d
    basis = rng.standard_normal((rank, d)) / np.arange(1, rank + 1)[:, None]
    shift = np.zeros(d)
    shift[0] = offset
    return unit_rows(rng.standard_normal((n, rank)) @ basis + shift)


@st.composite
def vector_sets(draw: st.DrawFn, min_n: int = 2, max_n: int = 24, min_d: int = 2, max_d: int = 10) -> np.ndarray:
    n, d = draw(st.integers(min_n, max_n)), draw(st.integers(min_d, max_d))
    # Rank 1 would be one direction, and with luck n copies of one vector: that case has tests of its own.
    rank = draw(st.integers(2, d))
    offset = draw(st.sampled_from([0.0, 0.3, 2.0]))
    return random_unit(draw(st.integers(0, 2**32 - 1)), n, d, rank, offset)


def plain_scores(x: np.ndarray, centered: bool) -> tuple[float, float]:
    """Effective rank and participation ratio from numpy.cov (or the second moment) and its eigenvalues."""
    matrix = np.cov(x, rowvar=False) if centered else x.T @ x / len(x)
    values = np.clip(np.linalg.eigvalsh(np.atleast_2d(matrix)), 0, None)
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum())), float(1 / (p**2).sum())


def plain_unbiased(x: np.ndarray, centered: bool) -> tuple[float, float]:
    """The defining averages over tuples of different rows, term by term; (numerator, denominator)."""
    k = x @ x.T
    n = len(x)
    if not centered:
        return 1.0, float(np.mean([k[i, j] ** 2 for i, j in permutations(range(n), 2)]))
    above, below = [], []
    for i, j, a, b in permutations(range(n), 4):
        above.append((k[i, i] - k[i, j]) * (k[a, a] - k[a, b]))
        below.append(k[i, j] ** 2 - 2 * k[i, j] * k[i, a] + k[i, j] * k[a, b])
    return float(np.mean(above)), float(np.mean(below))


def facts_formula(x: np.ndarray) -> float:
    """The same centered estimator as published in closed form from n, s and M, without centering first."""
    n, s, m = len(x), x.sum(0), x.T @ x
    t, t1, t2, t3, t5 = np.trace(m), (m * m).sum(), n, s @ s, s @ m @ s
    t6, t7, t9 = t * t, t * (s @ s), (s @ s) ** 2
    pairs = (n - 1) * (n - 2)
    above = t6 - 2 / (n - 1) * t7 + (4 * t3 - n * t2) / (n - 2) + (t9 - 4 * t5 + 2 * t1 - t6) / pairs
    below = t1 - n / (n - 2) * t2 + 2 * (2 * t3 - t5) / (n - 2) + (t6 - 2 * t7 + t9) / pairs
    return float(above / below)


def two_pass_unbiased(x: np.ndarray) -> float:
    """The centered estimator from vectors that were centered first, which takes two passes."""
    y = x - x.mean(0)
    n = len(y)
    scatter, fourth = y.T @ y, ((y * y).sum(1) ** 2).sum()
    t, t1 = np.trace(scatter), (scatter * scatter).sum()
    above = t**2 * (n * n - 3 * n + 1) - n * (n - 1) * fourth + 2 * t1
    return float(above / ((n - 1) * (n - 2) * t1 - n * (n - 1) * fourth + t**2))


def assert_same(left: Moments, right: Moments, tolerance: float = 1e-10) -> None:
    assert left.n == right.n
    assert left.model_id == right.model_id
    assert left.unit == right.unit
    np.testing.assert_allclose(left.sum_x, right.sum_x, rtol=0, atol=tolerance)
    np.testing.assert_allclose(left.second_moment, right.second_moment, rtol=0, atol=tolerance)
