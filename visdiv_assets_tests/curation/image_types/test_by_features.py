"""Types by features: the regression equals a plain reference, and drawn images get the types that they have."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from visdiv_assets.curation.image_types.by_features import (
    INTERCEPT,
    MEASURES,
    THRESHOLD,
    WEIGHTS,
    feature_weights,
    read_weights,
)
from visdiv_assets.imaging.thumbnails import encode_thumbnail
from visdiv_assets.imaging.type_features import FEATURES, type_features
from visdiv_assets_tests.conftest import png
from visdiv_assets_tests.curation.fit_image_types import confusion, fit, measured


def reference(features: list[float]) -> tuple[str | None, float]:
    """The type and its probability, number by number from the file."""
    with WEIGHTS.open(encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    cells = {line[0]: line[1:] for line in lines}
    logits = []
    for index in range(2, len(header) - 1):
        total = float(cells[INTERCEPT][index])
        for name, value in zip((*FEATURES, *MEASURES), features, strict=True):
            mean, deviation, weight = (float(cells[name][column]) for column in (0, 1, index))
            total += (value - mean) / deviation * weight
        logits.append(total)
    powers = [math.exp(each) for each in logits]
    best = max(range(len(powers)), key=powers.__getitem__)
    score = powers[best] / sum(powers)
    threshold = cells[THRESHOLD][best + 2]
    return header[best + 3] if threshold and score >= float(threshold) else None, score


def photo(seed: int) -> Image.Image:
    """Smooth noise at several scales, with a gray cast: no two neighbors are equal."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).resize((240, 180)), float)
        for side in (4, 9, 30, 120)
    ]
    return Image.fromarray(np.average(layers, axis=0, weights=(6, 4, 2, 1)).astype(np.uint8))


def page() -> Image.Image:
    """Lines of small black marks on white, as a page of text."""
    random = np.random.default_rng(0)
    found = Image.new("L", (620, 800), 250)
    draw = ImageDraw.Draw(found)
    for top in range(60, 740, 16):
        left = 60
        while left < 540:
            width = int(random.integers(3, 7))
            draw.rectangle(
                (left, top + int(random.integers(0, 4)), left + width, top + 9), fill=int(random.integers(90))
            )
            left += width + int(random.choice([2, 2, 2, 8]))
    return found.convert("RGB")


def test_the_regression_is_that_of_a_plain_reference() -> None:
    random = np.random.default_rng(0)
    weights = feature_weights()
    features = weights.mean + weights.deviation * random.standard_normal((200, len(weights.mean)))
    types, scores = weights.classify(features)
    expected = [reference(row.tolist()) for row in features]
    assert types.to_pylist() == [name for name, _ in expected]
    assert scores.to_pylist() == pytest.approx([score for _, score in expected], abs=1e-6)
    assert {None, "photo", "chart"} <= set(types.to_pylist())
    assert "math" not in types.to_pylist()


def test_an_image_without_measures_has_no_type() -> None:
    weights = feature_weights()
    features = np.vstack([weights.mean, weights.mean])
    features[1, 3] = np.nan
    types, scores = weights.classify(features)
    assert types[1].as_py() is None
    assert scores.is_null().to_pylist() == [False, True]


def test_photos_and_pages_are_told_apart() -> None:
    features = measured([png(photo(seed)) for seed in range(4)] + [png(page())])
    types = feature_weights().classify(features)[0].to_pylist()
    assert set(types[:4]) <= {"photo", None}
    assert types[:4].count("photo") >= 3
    assert types[4] in ("document", None)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2), (640, 480)])
def test_any_size_has_finite_features(size: tuple[int, int]) -> None:
    found = type_features(encode_thumbnail(Image.new("RGB", size, (40, 90, 200)), 256))
    assert found.shape == (len(FEATURES),)
    assert np.isfinite(found).all()


def test_features_are_what_they_are_called() -> None:
    drawn = Image.new("RGB", (200, 100), (255, 255, 255))
    ImageDraw.Draw(drawn).line((10, 50, 190, 50), fill=(0, 0, 0), width=3)
    found = dict(zip(FEATURES, type_features(encode_thumbnail(drawn, 256)).tolist(), strict=True))
    assert found["horizontal_lines"] > 0 == found["vertical_lines"]
    assert found["background"] > 0.9
    assert found["border"] == 1
    assert found["gray"] > 0.99
    assert found["saturated"] == found["dark_background"] == found["hues"] == 0
    assert found["elongation"] == pytest.approx(1)


def test_weights_can_be_fitted_and_measured_again(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = np.repeat(["chart", "document", "drawing", "math", "photo", "screenshot"], 20)
    count = len(FEATURES) + len(MEASURES)
    features = random.standard_normal((len(names), count)) + 6 * np.repeat(np.eye(6, count), 20, axis=0)
    path = tmp_path / "weights.csv"
    fit(features, names, path)
    found = read_weights(path).classify(features)[0].to_pylist()
    told = confusion(names, found)
    assert "photo: precision 20 of 20, 1.00 if types were equally frequent; recall 1.00" in told
    assert {name for name in found if name} == {"chart", "document", "drawing", "photo", "screenshot"}
    assert pa.array(found).null_count >= 19
