"""The comparison of what two aligned images show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from visdiv_assets.duplicates.verify.contents import STRIDE, Contents, compare_contents
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
