"""The scale of images of more than 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from visdiv_assets.imaging.levels import FLOAT_WHITES, INTEGER_WHITES, Levels, choose_levels, scale_to_8_bits


def scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    whites = FLOAT_WHITES if values.dtype.kind == "f" else INTEGER_WHITES
    return scale_to_8_bits(values, choose_levels(values, whites))


def scene(high: float, low: float = 0.0, dtype: type = np.uint16) -> NDArray[np.generic]:
    share = np.random.default_rng(0).random((40, 50))
    return (low + share * (high - low)).astype(dtype)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_usual_range_is_kept_exactly(bits: int) -> None:
    gray = scene(256, dtype=np.uint8).astype(np.uint16)
    assert np.array_equal(scaled(gray << (bits - 8)), gray.astype(np.uint8))


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 20, np.uint16),
        (500, 4580, np.uint16),
        (32268, 33268, np.uint16),
        (-1000, 3000, np.int32),
        (70_000, 71_000, np.int32),
        (0, 0.02, np.float32),
        (0.5, 4.0, np.float32),
        (1000, 1004, np.float32),
        (-0.1, 0.1, np.float32),
        (0, 300_000, np.float32),
    ],
)
@pytest.mark.parametrize("marks", [(), (0,), (65535,), (0, 65535)])
def test_a_part_of_the_range_fills_the_scale(low: float, high: float, dtype: type, marks: tuple[int, ...]) -> None:
    values = scene(high, low, dtype)
    for column, mark in enumerate(marks):
        values[:, column] = mark
    inner = scaled(values)[:, 2:]
    if dtype is np.float32 and marks and high > 65535:
        return  # 0 and 65535 are values like the others
    assert np.percentile(inner, 99) - np.percentile(inner, 1) > 40


def test_labels_stay_different() -> None:
    labels = np.arange(21, dtype=np.uint16).repeat(20).reshape(21, 20)
    assert len(np.unique(scaled(labels))) == 21
    labels[1, :5] = 65535
    assert len(np.unique(scaled(labels))) == 21


@pytest.mark.parametrize("label", [1, 7, 300])
def test_a_mask_of_few_pixels_shows(label: int) -> None:
    mask = np.zeros((100, 100), np.uint16)
    mask[3, 4:9] = label
    assert scaled(mask)[3, 5] > 200
    assert scaled(mask)[0, 0] == 0


def test_a_few_hot_pixels_do_not_darken_the_others() -> None:
    values = scene(300, dtype=np.uint16)
    values[0, :8] = [65535, 60000, 50000, 40000, 30000, 20000, 10000, 5000]
    assert np.percentile(scaled(values), 90) > 150


def test_a_constant_image_keeps_its_share_of_the_usual_range() -> None:
    assert choose_levels(np.full((3, 3), 700, np.uint16), INTEGER_WHITES) == Levels(0, 1023)


def test_values_that_are_not_finite_do_not_count() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, 4.0, 8.0]], np.float32)
    assert scaled(values)[0].tolist() == [0, 255, 0, 0, 128, 255]


@given(
    st.lists(st.one_of(st.integers(0, 65535), st.integers(0, 40)), min_size=2, max_size=40, unique=True),
    st.sampled_from([np.uint16, np.int32, np.float32]),
)
def test_larger_values_are_never_darker(values: list[int], dtype: type) -> None:
    array: NDArray[np.generic] = np.array([sorted(values)], dtype)
    result = scaled(array)[0].astype(int)
    assert (np.diff(result) >= 0).all()
    assert result[-1] - result[0] >= 62
