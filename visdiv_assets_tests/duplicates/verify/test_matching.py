"""Alignments by local features: what moved how is found, among many wrong matches, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from visdiv_assets.duplicates.verify.geometry import map_points
from visdiv_assets.duplicates.verify.matching import FeatureSet, align, distances, find_shown
from visdiv_assets.duplicates.verify.params import MatchParams

SIZE = (400, 300)
PARAMS = MatchParams()


def features(points: NDArray[np.float64], scale: float, turn: float, signs: NDArray[np.float32]) -> FeatureSet:
    count = len(points)
    return FeatureSet(points, np.full(count, 31.0 * scale), np.full(count, turn), signs, SIZE)


def random_signs(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    return np.where(random.random((count, 256)) < 0.5, -1, 1).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(0.4, 1.2))
def test_a_similarity_is_found_among_wrong_matches(seed: int, turn: float, scale: float) -> None:
    random = np.random.default_rng(seed)
    one = random.uniform(0.3, 0.7, (60, 2)) * SIZE
    spin = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    other = (one - np.array(SIZE) / 2) @ spin.T + np.array(SIZE) / 2
    other[30:] = random.uniform(0, 1, (30, 2)) * SIZE
    signs = random_signs(random, 60)
    left, right = features(other, scale, turn, signs), features(one, 1.0, 0.0, signs)
    found = align(left, right, False, PARAMS)
    assert found is not None
    assert found.inliers >= 30
    assert set(range(30)) <= set(find_shown(left, right, found, PARAMS).tolist())
    moved = map_points(found.matrix, one[:30] / SIZE) * SIZE
    assert np.abs(moved - other[:30]).max() < 3


def test_a_homography_is_found_where_it_explains_more() -> None:
    random = np.random.default_rng(1)
    one = random.uniform(0.05, 0.95, (120, 2))
    matrix = np.array([[1.0, 0.05, 0.0], [0.02, 0.9, 0.05], [0.35, 0.1, 1.0]])
    other = map_points(matrix, one)
    signs = random_signs(random, 120)
    left, right = features(other * SIZE, 1, 0, signs), features(one * SIZE, 1, 0, signs)
    found = align(left, right, False, PARAMS)
    assert found is not None
    assert found.inliers > 100
    shown = find_shown(left, right, found, PARAMS)
    assert np.abs(map_points(found.matrix, one) - other)[shown].max() < 0.02


def test_the_map_of_a_mirrored_image_starts_from_the_image_itself() -> None:
    random = np.random.default_rng(2)
    one = random.uniform(0.1, 0.9, (40, 2))
    mirrored = one * (-1, 1) + (1, 0)
    signs = random_signs(random, 40)
    found = align(features(one * SIZE, 1, 0, signs), features(one * SIZE, 1, 0, signs), True, PARAMS)
    assert found is not None
    assert np.abs(map_points(found.matrix, mirrored) - one).max() < 0.01


@pytest.mark.parametrize("count", [0, 3, 200])
def test_unrelated_features_give_no_alignment(count: int) -> None:
    random = np.random.default_rng(count)
    sets = [features(random.uniform(0, 1, (count, 2)) * SIZE, 1, 0, random_signs(random, count)) for _ in range(2)]
    assert align(sets[0], sets[1], False, PARAMS) is None


def test_distances_are_numbers_of_differing_bits() -> None:
    random = np.random.default_rng(3)
    one, other = random_signs(random, 5), random_signs(random, 7)
    expected = [[(a != b).sum() for b in other] for a in one]
    assert (distances(one, other) == expected).all()
