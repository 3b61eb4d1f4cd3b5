"""The relation of the colors of two aligned images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from visdiv_assets.duplicates.verify.colors import Colors, compare_colors, quantile
from visdiv_assets.duplicates.verify.params import ColorParams
from visdiv_assets_tests.duplicates.verify.images import flag, scene


def compare(one: Image.Image, other: Image.Image) -> Colors:
    views = [np.asarray(image.convert("RGB")) for image in (one, other)]
    found = compare_colors(views[0], views[1], np.ones(views[0].shape[:2], bool), ColorParams())
    assert found is not None
    return found


def lines(colors: list[str]) -> Image.Image:
    """Lines of one pixel in some colors."""
    image = Image.new("RGB", (240, 180), "white")
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(4)
    for color in colors:
        draw.line([(x, int(random.integers(10, 170))) for x in range(0, 240, 6)], fill=color, width=1)
    return image


def test_equal_colors_do_not_differ() -> None:
    found = compare(scene(1), scene(1))
    assert (found.difference, found.luminance, found.kept) == (0, 0, 1)
    assert found.unexplained < 1e-6


def test_lines_of_one_pixel_in_other_colors_differ() -> None:
    found = compare(lines(["#1f77b4", "#ff7f0e", "#2ca02c"]), lines(["#2ca02c", "#1f77b4", "#ff7f0e"]))
    assert found.difference > ColorParams().same
    assert found.kept < 0.5


def test_a_change_of_tone_keeps_hues_and_is_explained() -> None:
    found = compare(scene(1), ImageEnhance.Brightness(scene(1)).enhance(0.7))
    assert found.difference > ColorParams().same
    assert found.unexplained < ColorParams().explained
    assert found.kept > 0.98


def test_a_gray_copy_keeps_its_luminance_and_no_color() -> None:
    found = compare(flag(("#c8102e", "#ffffff", "#0038a8")), flag(("#c8102e", "#ffffff", "#0038a8")).convert("L"))
    assert found.luminance <= 2
    assert min(found.chroma) < 1
    assert found.kept < 0.1


def test_too_few_places_have_no_relation() -> None:
    image = np.asarray(scene(1))
    assert compare_colors(image, image, np.zeros(image.shape[:2], bool), ColorParams()) is None


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile(np.arange(100.0), 0.99) == 99
    assert quantile(np.empty(0), 0.5) == 0
