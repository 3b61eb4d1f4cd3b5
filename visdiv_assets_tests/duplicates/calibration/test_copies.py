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


def test_twelve_kinds_are_described_at_every_strength() -> None:
    assert len(KINDS) == len(set(KINDS)) == len(COPY_KINDS) == 12
    assert STRENGTHS == ("mild", "medium", "strong")
    for kind in COPY_KINDS:
        assert all((kind.name, kind.description, kind.mild, kind.medium, kind.strong)), kind


@pytest.mark.parametrize(("kind", "strength"), EVERY_COPY)
def test_a_copy_is_a_new_rgb_image_and_repeatable(kind: str, strength: str) -> None:
    original = photograph()
    before = original.tobytes()
    for seed in range(6):
        copy = make_copy(original, kind, strength, seed)
        assert copy.mode == "RGB"
        assert (copy.size, copy.tobytes()) != (original.size, before)
        again = make_copy(photograph(), kind, strength, seed)
        assert (again.size, again.tobytes()) == (copy.size, copy.tobytes())
    assert original.tobytes() == before


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (7, 5), (16, 16), (90, 30)])
def test_tiny_and_thin_images_are_copied(size: tuple[int, int]) -> None:
    original = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8))
    for (kind, strength), seed in itertools.product(EVERY_COPY, range(8)):
        copy = make_copy(original, kind, strength, seed)
        assert copy.mode == "RGB"
        assert min(copy.size) >= 1


@pytest.mark.parametrize("kind", ["crop", "border", "caption", "rotate", "grayscale", "color", "overlay", "resize"])
def test_the_seed_chooses(kind: str) -> None:
    copies = {make_copy(photograph(), kind, "strong", seed).tobytes() for seed in range(12)}
    assert len(copies) > 1


@pytest.mark.parametrize("kind", ["jpeg", "blur", "color"])
def test_stronger_changes_more(kind: str) -> None:
    original = photograph()
    changes = [
        np.mean([np.abs(pixels(make_copy(original, kind, strength, seed)) - pixels(original)) for seed in range(20)])
        for strength in STRENGTHS
    ]
    assert changes == sorted(changes)


@pytest.mark.parametrize(("strength", "area"), [("mild", 0.9), ("medium", 0.75), ("strong", 0.6)])
def test_a_crop_keeps_its_share_of_the_area(strength: str, area: float) -> None:
    for seed in range(10):
        copy = make_copy(photograph(), "crop", strength, seed)
        assert copy.width * copy.height == pytest.approx(area * 240 * 180, rel=0.02)


def test_a_border_and_a_strip_leave_the_image_whole() -> None:
    original = pixels(photograph())
    whole = 0
    for kind, seed in itertools.product(("border", "caption"), range(10)):
        copy = make_copy(photograph(), kind, "strong", seed)
        height, width = copy.height - 180, copy.width - 240
        if kind == "border" or height:
            assert any(
                np.array_equal(pixels(copy)[top : top + 180, left : left + 240], original)
                for top, left in itertools.product(range(height + 1), range(width + 1))
            )
            whole += 1
    assert whole > 10


def test_resizing_keeps_the_shape_and_stops_at_64_pixels() -> None:
    assert make_copy(photograph(1000, 500), "resize", "strong", 0).size == (300, 150)
    assert make_copy(photograph(200, 100), "resize", "strong", 0).size == (128, 64)
    assert make_copy(photograph(40, 30), "resize", "strong", 0).size == (40, 30)


def test_quarter_turns_and_mirrors_move_every_pixel() -> None:
    original = photograph()
    turns = [make_copy(original, "quarter_turn", strength, 0) for strength in STRENGTHS]
    for quarters, turned in enumerate(turns, start=1):
        assert np.array_equal(pixels(turned), np.rot90(pixels(original), quarters))
    assert np.array_equal(pixels(make_copy(original, "mirror", "mild", 0)), pixels(original)[:, ::-1])


def test_gray_is_gray() -> None:
    gray = pixels(make_copy(photograph(), "grayscale", "medium", 0))
    assert (gray.max(axis=2) == gray.min(axis=2)).all()


@pytest.mark.parametrize(
    ("kind", "strength", "mode"), [("fax", "mild", "RGB"), ("jpeg", "fatal", "RGB"), ("jpeg", "mild", "L")]
)
def test_unknown_kinds_strengths_and_modes_are_refused(kind: str, strength: str, mode: str) -> None:
    with pytest.raises(ValueError, match=r"^unknown (kind|strength)|convert it to RGB$"):
        make_copy(photograph().convert(mode), kind, strength, 0)
