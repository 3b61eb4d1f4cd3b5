"""What a match of features is worth, against a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.verify.matching import FeatureSet
from visdiv_assets.duplicates.verify.rarity import MAX_DISTANCE, PER_CELL, gather_evidence, make_background, weigh


def some_features(random: np.random.Generator, count: int) -> FeatureSet:
    # Few different descriptors, with some bits changed, so that images share some.
    known = np.random.default_rng(0).random((6, 256)) < 0.5
    bits = known[random.integers(0, 6, count)] ^ (random.random((count, 256)) < 0.05)
    points = random.uniform(0, 100, (count, 2))
    ones = np.ones(count)
    return FeatureSet(points, ones, ones, np.where(bits, 1, -1).astype(np.float32), (100, 100))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_weights_are_those_of_the_reference(seed: int, counts: list[int]) -> None:
    random = np.random.default_rng(seed)
    images = [some_features(random, count) for count in counts]
    names = [str(index) for index in range(len(images))]
    asked = some_features(random, 9).signs
    found = weigh(asked, make_background(names, images), ["0", "other"])
    for signs, weight in zip(asked, found, strict=True):
        near = [any((signs != of).sum() <= MAX_DISTANCE for of in image.signs) for image in images[1:]]
        expected = -np.log2((sum(near) + 0.5) / (len(near) + 1)) if near else 0.0
        assert weight == pytest.approx(expected, abs=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_evidence_counts_the_rarest_match_of_each_cell(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    image = some_features(random, count)
    background = make_background(["0", "1"], [some_features(random, 5), some_features(random, 9)])
    shown = np.flatnonzero(random.random(count) < 0.8)
    found = gather_evidence(shown, image, [background], ("", ""), 3.0)
    cells: dict[tuple[int, int], list[float]] = {}
    for index in shown.tolist():
        x, y = (min(7, int(value / 100 * 8)) for value in image.points[index])
        weight = float(weigh(image.signs[index : index + 1], background, ["", ""])[0])
        cells.setdefault((x, y), []).append(max(0.0, weight - 1))
    assert found == pytest.approx(sum(max(weights[:PER_CELL]) for weights in cells.values()), abs=1e-4)


@pytest.mark.parametrize("names", [[], ["0", "1"]])
def test_without_other_images_features_are_assumed_to_be_rare(names: list[str]) -> None:
    random = np.random.default_rng(0)
    image = some_features(random, 1)
    known = [make_background(names, [image for _ in names])] if names else []
    assert gather_evidence(np.zeros(1, np.int64), image, known, ("0", "1"), 3.0) == 2.0
