"""The comparison of what two aligned images show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from visdiv_assets.duplicates.verify.contents import STRIDE, Contents, compare_contents, correlate_windows
from visdiv_assets.duplicates.verify.params import ContentParams
from visdiv_assets_tests.duplicates.verify.images import as_jpeg, scene, table


def compare(one: Image.Image, other: Image.Image) -> Contents:
    gray = [np.asarray(image.convert("L")) for image in (one, other)]
    return compare_contents(gray[0], gray[1], np.ones(gray[0].shape, bool), ContentParams())


@pytest.mark.parametrize("change", ["none", "blurred", "darker", "jpeg", "shifted"])
def test_copies_agree(change: str) -> None:
    image = scene(1)
    copy = {
        "none": image,
        "blurred": image.filter(ImageFilter.GaussianBlur(2)),
        "darker": Image.eval(image, lambda level: level // 2),
        "jpeg": as_jpeg(image, 30),
        "shifted": image.transform(image.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)),
    }[change]
    found = compare(image, copy)
    assert found.share < 0.04
    assert found.windows > 100


def test_other_images_have_little_in_common() -> None:
    assert compare(scene(1), scene(2)).deep > 0.5


def test_one_changed_number_is_one_deep_place() -> None:
    found = compare(table(), table({(5, 3): "748.2"}))
    assert 0 < found.share < 0.02
    assert found.largest > 1
    assert found.deep > 0
    assert found.disagrees[200 // STRIDE : 245 // STRIDE, 320 // STRIDE : 390 // STRIDE].any()


def test_noise_everywhere_raises_what_is_tolerated() -> None:
    image = np.asarray(scene(1).convert("RGB")).astype(np.float64)
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 20, image.shape), 0, 255).astype(np.uint8)
    found = compare(scene(1), Image.fromarray(noisy))
    assert found.noise > compare(scene(1), scene(1)).noise
    assert found.deep < 0.01


def test_what_lies_in_a_place_can_be_left_out() -> None:
    found = compare(table(), table({(5, 3): "748.2"}))
    place = np.zeros(found.disagrees.shape, bool)
    place[195 // STRIDE : 250 // STRIDE, 310 // STRIDE : 400 // STRIDE] = True
    rest = found.without(place)
    assert (rest.share, rest.largest, rest.deep) == (0, 0, 0)
    assert rest.windows < found.windows


@pytest.mark.parametrize("inside", [0, 40])
def test_too_small_an_overlap_says_nothing(inside: int) -> None:
    gray: NDArray[np.uint8] = np.asarray(scene(1).convert("L"))
    there = np.zeros(gray.shape, bool)
    there[:inside, : inside // 8] = True
    assert compare_contents(gray, gray, there, ContentParams()).windows == 0


def test_blank_images_have_no_windows() -> None:
    blank = np.full((90, 120), 200, np.uint8)
    assert compare_contents(blank, blank, np.ones(blank.shape, bool), ContentParams()).windows == 0


def plain_windows(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each window: of a square and its neighbors, those at the border reflected."""
    starts = [[min(start, side - STRIDE) for start in range(0, side, STRIDE)] for side in image.shape]
    squares = np.array([[image[y : y + STRIDE, x : x + STRIDE].mean() for x in starts[1]] for y in starts[0]])
    around = np.pad(squares, 1, "reflect")
    return np.array([[around[y : y + 3, x : x + 3].mean() for x in range(len(starts[1]))] for y in range(len(squares))])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(4, 16), st.integers(4, 16), st.integers(-1, 1), st.integers(-1, 1))
def test_windows_are_correlated_as_by_a_reference(seed: int, height: int, width: int, down: int, right: int) -> None:
    random = np.random.default_rng(seed)
    one = random.integers(0, 256, (height, width)).astype(np.float64)
    two = np.roll(one, (down, right), (0, 1)) + random.normal(0, 20, one.shape)
    noise = 4.0
    mean1 = plain_windows(one)
    variance1 = np.maximum(plain_windows(one**2) - mean1**2, 0)
    best = np.full(mean1.shape, -np.inf)
    border = np.pad(two, 1, "edge")
    for dy in range(3):
        for dx in range(3):
            moved = border[dy : dy + height, dx : dx + width]
            mean2 = plain_windows(moved)
            variance2 = np.maximum(plain_windows(moved**2) - mean2**2, 0)
            shared = plain_windows(one * moved) - mean1 * mean2
            best = np.maximum(best, shared / np.sqrt((variance1 + noise) * (variance2 + noise)))
            if (dy, dx) == (1, 1):
                largest = np.maximum(variance1, variance2)
    params = ContentParams(min_noise=noise, max_noise=noise)
    unlike, variance, found = correlate_windows(
        one.astype(np.float32), two.astype(np.float32), np.ones(mean1.shape, bool), params
    )
    assert found == noise
    assert unlike == pytest.approx(1 - best, abs=2e-3)
    assert variance == pytest.approx(largest, rel=1e-3, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 40), (40, 2)])
def test_images_narrower_than_a_square_have_windows_too(shape: tuple[int, int]) -> None:
    one = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    rows, columns = (-(-side // STRIDE) for side in shape)
    unlike, variance, _ = correlate_windows(one, one, np.ones((rows, columns), bool), ContentParams())
    assert unlike.shape == variance.shape == (rows, columns)
    assert np.isfinite(unlike).all()
