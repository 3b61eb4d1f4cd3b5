"""PDQ hashes: those of copies, of rotated copies, and images without a hash."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS, fingerprints
from visdiv_assets.imaging.resize import Reduced

#: What counts as a copy.
CLOSE = 31


def image(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Patches of color that run into one another."""
    patches = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def hashes(image: Image.Image) -> np.ndarray:
    """bool [8, 256]."""
    found = fingerprints(Reduced(image).square)
    assert found is not None
    assert len(found) == ORIENTATIONS * BITS // 8 == 256
    return np.unpackbits(np.frombuffer(found, np.uint8).reshape(ORIENTATIONS, -1), axis=1).astype(bool)


def distances(one: np.ndarray, others: np.ndarray) -> list[int]:
    """From one hash to each of several."""
    return [int(count) for count in (one != others).sum(axis=1)]


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_at_half_size_has_nearly_the_same_hashes(seed: int) -> None:
    original = image(seed)
    half = original.resize((160, 120), Image.Resampling.LANCZOS)
    apart = (hashes(original) != hashes(half)).sum(axis=1)
    assert apart.max() <= CLOSE


@pytest.mark.parametrize("turn", Image.Transpose)
def test_a_rotated_or_mirrored_copy_is_close_in_one_orientation(turn: Image.Transpose) -> None:
    places = set()
    for seed in range(3):
        original = hashes(image(seed))
        apart = distances(hashes(image(seed).transpose(turn))[0], original)
        places.add(int(np.argmin(apart)))
        assert min(apart) <= CLOSE
        assert sorted(apart)[1] > 80
    assert len(places) == 1
    assert places != {0}


@pytest.mark.parametrize("seed", range(4))
def test_the_negative_differs_in_nearly_all_bits(seed: int) -> None:
    negative = ImageOps.invert(image(seed))
    apart = (hashes(image(seed)) != hashes(negative)).sum(axis=1)
    assert apart.min() >= BITS - CLOSE


def test_orientations_differ_and_the_first_is_the_image_itself() -> None:
    original = hashes(image(5))
    turned = [hashes(image(5).transpose(turn))[0] for turn in Image.Transpose]
    places = [int(np.argmin(distances(one, original))) for one in (original[0], *turned)]
    assert places[0] == 0
    assert sorted(places) == list(range(ORIENTATIONS))


def test_unrelated_images_differ_in_about_half_of_their_bits() -> None:
    first = [hashes(image(seed))[0] for seed in range(12)]
    apart = [int((a != b).sum()) for number, a in enumerate(first) for b in first[:number]]
    assert min(apart) > 80
    assert np.mean(apart) == pytest.approx(BITS / 2, abs=8)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (63, 65), (400, 300)])
@pytest.mark.parametrize("color", ["black", "white", (9, 99, 200)])
def test_a_blank_image_has_none(size: tuple[int, int], color: str | tuple[int, int, int]) -> None:
    assert fingerprints(Reduced(Image.new("RGB", size, color)).square) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 64), (2000, 3)])
def test_the_smallest_and_narrowest_images_raise_nothing(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    assert len(fingerprints(Reduced(Image.fromarray(pixels)).square) or b"") in (0, 256)


def test_the_same_image_has_the_same_hashes_and_is_unchanged() -> None:
    drawn = image(7)
    before = drawn.tobytes()
    assert fingerprints(Reduced(drawn).square) == fingerprints(Reduced(image(7)).square)
    assert drawn.tobytes() == before
