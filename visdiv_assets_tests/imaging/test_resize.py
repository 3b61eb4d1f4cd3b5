from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from visdiv_assets.imaging.resize import PREPROCESSING, SQUARE_SIDE, Reduced, fit, skew_320
from visdiv_assets_tests.imaging.images import noise


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (320, 320), (1000, 700), (17, 3000)])
def test_every_size_becomes_320_by_320(size: tuple[int, int]) -> None:
    array = skew_320(Image.new("RGB", size, (10, 20, 30)))
    assert array.shape == (320, 320, 3)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert (array == [10, 20, 30]).all()


def test_a_image_of_that_size_is_unchanged() -> None:
    image = noise(320, 320)
    assert np.array_equal(skew_320(image), np.asarray(image))


def test_reducing_is_antialiased() -> None:
    # Stripes of one pixel: without antialiasing some of them would survive.
    stripes = np.zeros((640, 3200, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(skew_320(Image.fromarray(stripes)).astype(int) - 127).max() <= 20


def test_it_is_pillows_bilinear() -> None:
    image = noise(123, 457)
    assert np.array_equal(skew_320(image), np.asarray(image.resize((320, 320), Image.Resampling.BILINEAR)))


def test_other_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="not L"):
        skew_320(Image.new("L", (4, 4)))


def test_its_name_is_part_of_model_ids() -> None:
    assert PREPROCESSING == "skew_320"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_the_square_is_that_of_a_resize_with_a_gap(width: int, height: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    expected = image.resize((SQUARE_SIDE, SQUARE_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    assert np.array_equal(Reduced(image).square, np.asarray(expected))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300))
def test_a_fitted_size_keeps_the_ratio_and_never_grows(width: int, height: int, side: int) -> None:
    fitted = fit((width, height), side)
    assert max(fitted) == min(side, max(width, height))
    assert abs(fitted[0] * height - fitted[1] * width) <= max(width, height) / 2 or min(fitted) == 1
