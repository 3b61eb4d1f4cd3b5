"""Quality measures of one image, compared with plain references."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, POSITION_COLUMNS, describe
from visdiv_assets.imaging.measures import MAX_GRAY_SPREAD, SAMPLE_SIDE, Measures, measure
from visdiv_assets.imaging.resize import SQUARE_SIDE, Reduced
from visdiv_assets_tests.imaging.images import encode, noise


def measured(image: Image.Image) -> Measures:
    return measure(image, Reduced(image))


@st.composite
def images(draw: st.DrawFn, max_side: int = SQUARE_SIDE) -> Image.Image:
    """Noise of few or many levels in part of the range, of any shape."""
    width, height = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    low = draw(st.integers(0, 255))
    high = draw(st.integers(low, 255))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return Image.fromarray(random.integers(low, high + 1, (height, width, 3), dtype=np.uint8))


def plain_levels(image: Image.Image) -> list[int]:
    """The brightness of each pixel, one by one."""
    pixels = np.asarray(image).reshape(-1, 3).tolist()
    return [round(math.sqrt(0.241 * r * r + 0.691 * g * g + 0.068 * b * b)) for r, g, b in pixels]


def plain_edges(gray: np.ndarray) -> list[float]:
    """The clipped sum of the differences to the 8 neighbors; outside the image the nearest pixel counts."""
    height, width = gray.shape
    found = []
    for y in range(height):
        for x in range(width):
            total = 0
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    total += int(gray[y, x]) - int(
                        gray[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]
                    )
            found.append(float(min(max(total, 0), 255)))
    return found


@settings(max_examples=60, deadline=None)
@given(images())
def test_brightness_is_that_of_a_plain_reference(image: Image.Image) -> None:
    # Rounding of float32 may move a pixel by one level.
    levels, found = plain_levels(image), measured(image)
    assert found.brightness == pytest.approx(np.mean(levels), abs=0.1)
    assert found.contrast == pytest.approx(np.std(levels), abs=0.2)
    for share, value in ((5, found.brightness_p5), (99, found.brightness_p99)):
        assert abs(value - np.percentile(levels, share, method="inverted_cdf")) <= 1


@settings(max_examples=60, deadline=None)
@given(images())
def test_entropy_is_that_of_a_plain_reference(image: Image.Image) -> None:
    counts = Counter(plain_levels(image))
    total = sum(counts.values())
    expected = -sum(n / total * math.log2(n / total) for n in counts.values())
    assert measured(image).entropy == pytest.approx(expected, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(images(max_side=24))
def test_sharpness_is_that_of_a_plain_reference(image: Image.Image) -> None:
    gray = image.convert("L")
    found = measured(image)
    assert found.sharpness == pytest.approx(np.var(plain_edges(np.asarray(gray))), rel=1e-6, abs=1e-6)
    assert found.histogram_deviation == pytest.approx(np.std(np.bincount(np.asarray(gray).ravel(), minlength=256)))


@settings(max_examples=40, deadline=None)
@given(images())
def test_information_is_that_of_a_plain_reference(image: Image.Image) -> None:
    pixels = Reduced(image).square.reshape(-1, 3).tolist()
    luminance = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in pixels]
    colors = Counter((r // 32, g // 32, b // 32) for r, g, b in pixels)
    covered, needed = 0, 0
    for _, count in colors.most_common():
        covered, needed = covered + count, needed + 1
        if covered >= 0.99 * len(pixels):
            break
    found = measured(image)
    assert found.brightness_deviation == pytest.approx(np.std(luminance))
    assert found.colors == needed
    assert found.grayscale == all(max(p) - min(p) <= MAX_GRAY_SPREAD for p in pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (64, 64), (300, 200)])
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_constant_image_has_defined_measures(size: tuple[int, int], level: int) -> None:
    found = measured(Image.new("RGB", size, (level, level, level)))
    assert (found.brightness, found.brightness_p5, found.brightness_p99) == (level, level, level)
    assert (found.contrast, found.entropy, found.sharpness, found.brightness_deviation) == (0, 0, 0, 0)
    assert (found.grayscale, found.colors, found.low_information) == (True, 1, True)


def test_large_images_measure_like_their_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4 * SAMPLE_SIDE, 3 * SAMPLE_SIDE, 3), np.uint8)
    image = Image.fromarray(pixels)
    levels, found = plain_levels(image), measured(image)
    assert found.brightness == pytest.approx(np.mean(levels), abs=1)
    assert found.contrast == pytest.approx(np.std(levels), abs=1)
    assert found.brightness_p99 == pytest.approx(np.percentile(levels, 99), abs=2)


def test_blur_lowers_sharpness() -> None:
    sharp = noise(60, 40)
    found = [measured(sharp.filter(ImageFilter.GaussianBlur(radius))).sharpness for radius in (0, 0.5, 1, 2, 4)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] / 100


@pytest.mark.parametrize(("color", "gray"), [((90, 90, 90), True), ((90, 94, 90), True), ((90, 120, 90), False)])
def test_a_spot_of_color_makes_an_image_colored(color: tuple[int, int, int], gray: bool) -> None:
    image = Image.new("RGB", (SQUARE_SIDE, SQUARE_SIDE), (10, 10, 10))
    image.putpixel((3, 5), color)
    assert measured(image).grayscale == gray


def test_unreadable_images_have_no_measures() -> None:
    for data in (None, b"", b"<html>", encode(noise())[:200]):
        record = dict(
            zip(IMAGES_SCHEMA.names[len(POSITION_COLUMNS) :], describe("", 0, decode_image(data)), strict=True)
        )
        assert record["status"] != "ok"
        names = IMAGES_SCHEMA.names[IMAGES_SCHEMA.names.index("brightness") :]
        assert {record[name] for name in names} == {None}


def test_a_readable_image_has_all_measures() -> None:
    data = encode(noise())
    record = dict(zip(IMAGES_SCHEMA.names[len(POSITION_COLUMNS) :], describe("", 0, decode_image(data)), strict=True))
    nulls = [name for name, value in record.items() if value is None]
    assert nulls == ["black_level", "white_level", "background"]
    found = measured(noise())
    assert {name: record[name] for name in Measures.__dataclass_fields__} == {
        name: getattr(found, name) for name in Measures.__dataclass_fields__
    }
