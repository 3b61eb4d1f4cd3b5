"""Vectors for tests, and slow reference implementations of joins."""

from __future__ import annotations

import math
import tempfile

import numpy as np
from hypothesis import strategies as st

from visdiv_assets.storage.arrays import StackedArray

#: left, right, similarity
Pair = tuple[int, int, float]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Divide rows by their lengths; rows of zeros stay."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    divided: np.ndarray = vectors / np.where(lengths == 0, 1, lengths)
    return divided


def random_units(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((rows, dimension))).astype(np.float32)


def slow_similarity(x: np.ndarray, y: np.ndarray) -> float:
    """Compute one inner product in float64."""
    return math.fsum(float(a) * float(b) for a, b in zip(x, y, strict=True))


def slow_join(left: np.ndarray, right: np.ndarray | None, threshold: float, slack: float = 0) -> list[Pair]:
    """Compare every two rows, and round once to float32."""
    other = left if right is None else right
    return [
        (i, j, float(np.float32(similarity)))
        for i in range(len(left))
        for j in range(i + 1 if right is None else 0, len(other))
        if np.float32((similarity := slow_similarity(left[i], other[j])) + slack) >= np.float32(threshold)
    ]


def check_pairs(found: list[Pair], left: np.ndarray, right: np.ndarray | None, threshold: float) -> None:
    """Assert that the pairs are those of `slow_join`, up to the rounding of float64 sums."""
    must = {pair[:2] for pair in slow_join(left, right, threshold, -1e-15)}
    may = {pair[:2]: pair[2] for pair in slow_join(left, right, threshold, 1e-15)}
    pairs = [pair[:2] for pair in found]
    assert pairs == sorted(set(pairs))
    assert must <= set(pairs) <= may.keys()
    np.testing.assert_allclose([pair[2] for pair in found], [may[pair] for pair in pairs], rtol=1.2e-7, atol=1e-15)


def slow_best(pairs: list[Pair], k: int, *, within: bool) -> list[Pair]:
    """Return the pairs among the k best of one of their two rows; ties go to the lowest row of the other."""
    of_left: dict[int, list[Pair]] = {}
    of_right: dict[int, list[Pair]] = {}
    for i, j, similarity in pairs:
        of_left.setdefault(i, []).append((i, j, similarity))
        (of_left if within else of_right).setdefault(j, []).append((j, i, similarity))
    chosen = {
        (row, partner) if sorted_left else (partner, row)
        for table, sorted_left in ((of_left, True), (of_right, False))
        for partners in table.values()
        for row, partner, _ in sorted(partners, key=lambda pair: (-pair[2], pair[1]))[:k]
    }
    if within:
        chosen = {(min(pair), max(pair)) for pair in chosen}
    return [pair for pair in pairs if pair[:2] in chosen]


def slow_counts(left: np.ndarray, right: np.ndarray | None, thresholds: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Count the partners of each left and each right row at each threshold."""
    other = left if right is None else right
    of_left = np.zeros((len(thresholds), len(left)), np.int64)
    of_right = np.zeros((len(thresholds), len(other)), np.int64)
    for number, threshold in enumerate(thresholds):
        for i, j, _ in slow_join(left, right, threshold):
            of_left[number, i] += 1
            of_right[number, j] += 1
    return (of_left, of_right) if right is not None else (of_left + of_right, of_left + of_right)


def laid_out(vectors: np.ndarray, layout: str) -> np.ndarray | StackedArray:
    """Return the same rows in another layout, in memory or on disk."""
    if layout == "strided":
        spread = np.zeros((2 * len(vectors), 3 * vectors.shape[1]), vectors.dtype)
        spread[::2, ::3] = vectors
        return spread[::2, ::3]
    if layout == "by columns":
        return np.asfortranarray(vectors)
    if layout == "mapped" and vectors.size:
        with tempfile.TemporaryFile() as file:
            mapped = np.memmap(file, vectors.dtype, "w+", shape=vectors.shape)
        mapped[:] = vectors
        return mapped
    if layout == "stacked":
        return StackedArray(np.array_split(vectors, 3))
    return vectors


LAYOUTS = st.sampled_from(["plain", "strided", "by columns", "mapped", "stacked"])
DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def sets_of_units(draw: st.DrawFn, dimension: int, max_rows: int = 12) -> np.ndarray:
    """Draw unit vectors in float64, some of them equal, opposite or nearly equal, and zeros."""
    rows = draw(st.lists(st.lists(st.integers(-3, 3), min_size=dimension, max_size=dimension), max_size=max_rows))
    return unit(np.array(rows, np.float64).reshape(-1, dimension))


@st.composite
def exact_units(draw: st.DrawFn, dimension: int = 6, max_rows: int = 14) -> np.ndarray:
    """Draw vectors of four entries of +-0.5, whose products are exact in any order of summation."""
    chosen = draw(
        st.lists(
            st.tuples(st.permutations(range(dimension)), st.tuples(*[st.sampled_from([-0.5, 0.5])] * 4)),
            max_size=max_rows,
        )
    )
    vectors = np.zeros((len(chosen), dimension))
    for row, (places, values) in zip(vectors, chosen, strict=True):
        row[list(places[:4])] = values
    return vectors
