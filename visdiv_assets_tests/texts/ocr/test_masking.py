"""Painting over boxes of text, against a plain reference that looks at each pixel."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from visdiv_assets.texts.ocr.masking import BAND, mask_boxes

HEIGHT, WIDTH = 24, 40


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def shares(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Return upright boxes, given as left, top, right, bottom in pixels, in units of the image."""
    corners = [[(a, b), (c, b), (c, d), (a, d)] for a, b, c, d in boxes]
    return (np.array(corners) / (WIDTH, HEIGHT)).astype(np.float32)


def plainly(pixels: np.ndarray, boxes: list[tuple[float, float, float, float]]) -> np.ndarray:
    def lies_in(x: int, y: int, box: tuple[float, float, float, float], margin: int = 0) -> bool:
        left, top, right, bottom = box
        return left - margin < x + 0.5 < right + margin and top - margin < y + 0.5 < bottom + margin

    every = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    free = [(x, y) for x, y in every if not any(lies_in(x, y, box) for box in boxes)]
    masked = pixels.copy()
    for box in boxes:
        near = [(x, y) for x, y in free if lies_in(x, y, box, BAND)] or free or every
        color = np.rint(np.mean([pixels[y, x].astype(float) for x, y in near], axis=0))
        for x, y in every:
            if lies_in(x, y, box):
                masked[y, x] = color
    return masked


@pytest.mark.parametrize("seed", range(8))
def test_boxes_get_the_average_color_around_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = []
    for _ in range(4):
        left, right = sorted(random.uniform(0, WIDTH, 2))
        top, bottom = sorted(random.uniform(0, HEIGHT, 2))
        boxes.append((left, top, right, bottom))
    pixels = noise(seed)
    before = pixels.copy()
    assert np.array_equal(mask_boxes(pixels, shares(*boxes)), plainly(pixels, boxes))
    assert np.array_equal(pixels, before)


def test_letters_on_a_plain_ground_vanish() -> None:
    ground = np.full((HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)
    written = ground.copy()
    written[8:12, 10:30] = noise(0)[8:12, 10:30]
    assert np.array_equal(mask_boxes(written, shares((9, 7, 31, 13))), ground)


def test_a_box_between_others_gets_the_color_of_the_rest() -> None:
    rows = [(0.0, 0.0, 40.0, 8.0), (0.0, 8.0, 40.0, 12.0), (0.0, 12.0, 40.0, 16.0)]
    pixels = noise(1)
    masked = mask_boxes(pixels, shares(*rows))
    assert np.array_equal(masked, plainly(pixels, rows))
    assert np.array_equal(masked[0, 0], np.rint(pixels[16:].reshape(-1, 3).mean(axis=0)))


def test_boxes_over_the_whole_image_get_its_average() -> None:
    pixels = noise(2)
    masked = mask_boxes(pixels, shares((0, 0, 40, 24)))
    assert np.array_equal(np.unique(masked.reshape(-1, 3), axis=0), [np.rint(pixels.reshape(-1, 3).mean(axis=0))])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 1, 3)])
def test_a_slanted_box_is_masked_and_nothing_else(order: tuple[int, ...]) -> None:
    corners = np.array([(8.3, 4.1), (30.7, 10.2), (29.1, 15.9), (6.6, 9.8)])
    boxes = (corners[list(order)] / (WIDTH, HEIGHT))[None].astype(np.float32)
    pixels = noise(3)
    changed = (mask_boxes(pixels, boxes) != pixels).any(axis=2)
    y, x = np.indices((HEIGHT, WIDTH)) + 0.5
    inside = shapely.intersects_xy(shapely.Polygon(corners), x, y)
    assert inside.sum() > 100
    assert np.array_equal(changed, inside)


def test_without_boxes_nothing_changes() -> None:
    pixels = noise(4)
    flat = np.full((1, 4, 2), 0.5, np.float32)
    for boxes in (flat, flat[:0]):
        assert np.array_equal(mask_boxes(pixels, boxes), pixels)
