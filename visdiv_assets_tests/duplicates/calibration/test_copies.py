from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visdiv_assets.duplicates.calibration.copies import COPY_KINDS, KINDS, STRENGTHS, make_copy

EVERY_COPY = list(itertools.product(KINDS, STRENGTHS))


def photograph(width: int = 240, height: int = 180) -> Image.Image:
    """Color gradients with shapes: no two places are alike."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([x * 255 / width, y * 255 / height, (x * 3 + y * 5) % 256], axis=2).astype(np.uint8)
    image = Image.fromarray(values)
    draw = ImageDraw.Draw(image)
    draw.rectangle((width * 0.1, height * 0.2, width * 0.4, height * 0.5), fill="white")
    draw.ellipse((width * 0.6, height * 0.5, width * 0.9, height * 0.95), fill="navy")
    return image


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def contains(outer: Image.Image, inner: Image.Image) -> bool:
    """Return whether an image shows another one somewhere, pixel by pixel."""
    large, small = pixels(outer), pixels(inner)
    height, width = small.shape[:2]
    first = np.argwhere((large[: large.shape[0] - height + 1, : large.shape[1] - width + 1] == small[0, 0]).all(2))
    return any(np.array_equal(large[top : top + height, left : left + width], small) for top, left in first)


def test_kinds_are_described_at_every_strength() -> None:
    assert len(KINDS) == len(set(KINDS)) == len(COPY_KINDS) > 50
    assert STRENGTHS == ("mild", "strong")
    for kind in COPY_KINDS:
        assert all((kind.name, kind.description, kind.mild, kind.strong)), kind


@pytest.mark.parametrize(("kind", "strength"), EVERY_COPY)
def test_a_copy_is_a_new_rgb_image_and_repeatable(kind: str, strength: str) -> None:
    original = photograph()
    before = original.tobytes()
    for seed in range(4):
        copy = make_copy(original, kind, strength, seed)
        assert copy.mode == "RGB"
        assert (copy.size, copy.tobytes()) != (original.size, before)
        again = make_copy(photograph(), kind, strength, seed)
        assert (again.size, again.tobytes()) == (copy.size, copy.tobytes())
    assert original.tobytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (7, 5), (16, 16), (90, 30)])
def test_tiny_and_thin_images_are_copied(size: tuple[int, int]) -> None:
    original = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    for (kind, strength), seed in itertools.product(EVERY_COPY, range(4)):
        copy = make_copy(original, kind, strength, seed)
        assert copy.mode == "RGB"
        assert min(copy.size) >= 1


def test_the_seed_chooses() -> None:
    for kind in KINDS:
        copies = {make_copy(photograph(), kind, "strong", seed).tobytes() for seed in range(8)}
        # All levels used equally, and all colors toned: nothing is left to choose.
        assert (len(copies) > 1) == (kind not in ("equalize", "sepia")), kind


@pytest.mark.parametrize(
    "kind",
    [
        *("emoji", "stripes", "squares", "pasted_image", "edited_part", "jpeg", "downscale", "blur", "motion_blur"),
        *(
            "sharpen",
            "noise",
            "grain",
            "shuffled_pixels",
            "fog",
            "snow",
            "rain",
            "brightness",
            "contrast",
            "saturation",
        ),
        *("gamma", "hue", "sepia", "posterize", "equalize", "local_contrast", "fade", "elastic_distortion"),
    ],
)
def test_stronger_changes_more(kind: str) -> None:
    original = photograph()
    mild, strong = (
        np.mean([np.abs(pixels(make_copy(original, kind, strength, seed)) - pixels(original)) for seed in range(12)])
        for strength in STRENGTHS
    )
    assert 0 < mild < strong


@pytest.mark.parametrize(("strength", "least", "most"), [("mild", 0.7, 0.85), ("strong", 0.4, 0.55)])
def test_a_crop_is_a_part_and_keeps_its_share_of_the_area(strength: str, least: float, most: float) -> None:
    for seed in range(10):
        copy = make_copy(photograph(), "crop", strength, seed)
        assert least * 0.98 <= copy.width * copy.height / (240 * 180) <= most * 1.02
        assert contains(photograph(), copy)


@pytest.mark.parametrize("kind", ["pad", "pad_square", "caption", "screenshot", "on_image", "collage"])
def test_what_surrounds_an_image_leaves_it_whole(kind: str) -> None:
    for strength, seed in itertools.product(STRENGTHS, range(4)):
        copy = make_copy(photograph(), kind, strength, seed)
        assert copy.width * copy.height > 240 * 180
        assert contains(copy, photograph())


@pytest.mark.parametrize("kind", ["emoji", "text", "stripes", "squares", "pasted_image", "edited_part"])
def test_an_overlay_leaves_most_of_the_image(kind: str) -> None:
    for seed in range(10):
        changed = (pixels(make_copy(photograph(), kind, "mild", seed)) != pixels(photograph())).any(2).mean()
        assert 0 < changed < 0.35


def test_scaling_keeps_the_shape_and_stops_at_the_minimum() -> None:
    for seed in range(6):
        copy = make_copy(photograph(1000, 500), "scale", "strong", seed)
        assert copy.width == pytest.approx(2 * copy.height, abs=2)
        assert 200 <= copy.width <= 350
    assert make_copy(photograph(100, 60), "scale", "strong", 0).size == (80, 48)


def test_turns_and_mirrors_move_every_pixel() -> None:
    original = pixels(photograph())
    turns = [pixels(make_copy(photograph(), "quarter_turn", "strong", seed)) for seed in range(8)]
    for quarters in (1, 3):
        assert any(np.array_equal(turned, np.rot90(original, quarters)) for turned in turns)
    assert np.array_equal(pixels(make_copy(photograph(), "quarter_turn", "mild", 0)), original[::-1, ::-1])
    assert np.array_equal(pixels(make_copy(photograph(), "mirror", "mild", 0)), original[:, ::-1])
    assert np.array_equal(pixels(make_copy(photograph(), "flip", "mild", 0)), original[::-1])


def test_gray_is_gray_and_a_negative_is_negative() -> None:
    for strength in STRENGTHS:
        gray = pixels(make_copy(photograph(), "grayscale", strength, 0))
        assert (gray.max(axis=2) == gray.min(axis=2)).all()
    assert np.array_equal(pixels(make_copy(photograph(), "invert", "mild", 0)), 255 - pixels(photograph()))


@pytest.mark.parametrize(
    ("kind", "strength", "mode"), [("fax", "mild", "RGB"), ("jpeg", "fatal", "RGB"), ("jpeg", "mild", "L")]
)
def test_unknown_kinds_strengths_and_modes_are_refused(kind: str, strength: str, mode: str) -> None:
    with pytest.raises(ValueError, match=r"^unknown (kind|strength)|convert it to RGB$"):
        make_copy(photograph().convert(mode), kind, strength, 0)
