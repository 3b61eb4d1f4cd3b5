"""Local features: what copies share, limits of size, images without corners, and determinism."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from visdiv_assets.imaging.local_features import MAX_BYTES, LocalFeatures, extract_features, unpack_features


def patches(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Random blots of many sizes: corners everywhere, none like another."""
    random = np.random.default_rng(seed)
    total = np.zeros((480, 640, 3))
    for step in (8, 16, 32, 64):
        coarse = Image.fromarray(random.integers(0, 256, (480 // step + 1, 640 // step + 1, 3), np.uint8))
        total += np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)) / 4.0
    return Image.fromarray(total.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def features_of(image: Image.Image) -> LocalFeatures:
    return unpack_features(extract_features(image))


def matches(one: LocalFeatures, other: LocalFeatures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the features of each whose descriptors differ in at most 24 bits."""
    bits = np.unpackbits(one.descriptors[:, None] ^ other.descriptors[None], axis=2).sum(2)
    left, right = np.nonzero(bits <= 24)
    return left, right


@pytest.mark.parametrize("size", [(320, 240), (1000, 750), (2560, 1920)])
def test_a_resized_copy_shows_the_same_features(size: tuple[int, int]) -> None:
    one, other = features_of(patches(0)), features_of(patches(0, size))
    left, right = matches(one, other)
    near = np.abs(one.points[left] - other.points[right]).max(1) < 0.01
    assert len(set(left[near].tolist())) > len(one) / 2
    assert near.mean() > 0.9


def test_angles_turn_with_the_image() -> None:
    one, other = features_of(patches(1)), features_of(patches(1).transpose(Image.Transpose.ROTATE_90))
    left, right = matches(one, other)
    expected = np.column_stack([one.points[left, 1], 1 - one.points[left, 0]])
    near = np.abs(expected - other.points[right]).max(1) < 0.01
    assert near.sum() > len(one) / 4
    turn = np.exp(1j * (other.angles[right] - one.angles[left]))[near]
    assert np.abs(np.angle(np.median(turn.real) + 1j * np.median(turn.imag)) + np.pi / 2) < 0.1


def test_mirrored_features_are_those_of_the_mirrored_image() -> None:
    one, other = features_of(patches(1)).mirrored(), features_of(patches(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    left, right = matches(one, other)
    near = np.abs(one.points[left] - other.points[right]).max(1) < 0.01
    assert len(set(left[near].tolist())) > 0.9 * len(one)
    assert near.mean() > 0.8
    assert np.median(np.abs(np.sin((one.angles[left] - other.angles[right])[near] / 2))) < 0.05
    again = one.mirrored()
    assert (again.descriptors == features_of(patches(1)).descriptors).all()


def test_inverted_features_are_those_of_the_negative() -> None:
    negative = Image.fromarray(255 - np.asarray(patches(1)))
    one, other = features_of(patches(1)).inverted(), features_of(negative)
    left, right = matches(one, other)
    near = np.abs(one.points[left] - other.points[right]).max(1) < 0.01
    assert len(set(left[near].tolist())) > 0.9 * len(one)
    assert near.mean() > 0.8
    assert np.median(np.abs(np.sin((one.angles[left] - other.angles[right])[near] / 2))) < 0.05


def test_unrelated_images_share_few_features() -> None:
    left, _ = matches(features_of(patches(2)), features_of(patches(3)))
    assert len(set(left.tolist())) < 20


def test_features_are_spread_over_the_image() -> None:
    # One half has strong corners, the other has faint ones.
    pixels = np.asarray(patches(4)).astype(np.float64)
    pixels[:, 320:] = 128 + (pixels[:, 320:] - 128) / 4
    found = features_of(Image.fromarray(pixels.astype(np.uint8)))
    assert (found.points[:, 0] > 0.5).mean() > 0.2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_images_of_any_size_give_valid_features(width: int, height: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    data = extract_features(Image.fromarray(noise))
    found = unpack_features(data)
    assert len(data) <= MAX_BYTES
    assert len(found) == len(found.angles) == len(found.sizes) == len(found.descriptors)
    assert ((found.points >= 0) & (found.points <= 1)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (5000, 1), (300, 200), (64, 64)])
def test_constant_images_have_none(size: tuple[int, int]) -> None:
    assert extract_features(Image.new("RGB", size, (200, 30, 90))) == b""
    assert len(unpack_features(b"")) == 0


def test_many_corners_fit_into_the_limit() -> None:
    data = extract_features(patches(5))
    assert MAX_BYTES - 64 < len(data) <= MAX_BYTES


def test_threads_do_not_change_the_bytes() -> None:
    images = [patches(seed) for seed in range(8)]
    expected = [extract_features(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(extract_features, images)) == expected


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="5 bytes are not packed local features"):
        unpack_features(b"12345")
