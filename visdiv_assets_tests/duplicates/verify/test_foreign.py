"""What was put over one of two images is told from changed contents by its colors."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from visdiv_assets.duplicates.verify.decision_params import ForeignParams
from visdiv_assets.duplicates.verify.foreign import Foreign, find_foreign
from visdiv_assets_tests.duplicates.verify.images import table


def find(one: Image.Image, other: Image.Image) -> tuple[Foreign, Foreign]:
    views = [np.asarray(image.convert("RGB")) for image in (one, other)]
    shape = views[0].shape[:2]
    return find_foreign(views[0], views[1], np.zeros(shape, bool), np.ones(shape, bool), ForeignParams())


def with_box(image: Image.Image, color: str) -> Image.Image:
    copy = image.copy()
    ImageDraw.Draw(copy).rectangle((200, 120, 320, 180), fill=color)
    return copy


def test_a_box_in_a_color_of_its_own_is_foreign() -> None:
    on_one, on_other = find(table(), with_box(table(), "#0a5a3c"))
    assert on_one.area == 0
    assert abs(on_other.area - 121 * 61 / (640 * 480)) < 0.004
    assert on_other.hidden == 0
    assert on_other.place[130:170, 210:310].all()


def test_a_thick_stroke_in_the_color_of_thin_ones_is_foreign() -> None:
    assert find(table(), with_box(table(), "black"))[1].area > 0.01


def test_a_changed_number_is_not_foreign() -> None:
    assert [found.area for found in find(table(), table({(5, 3): "748.2"}))] == [0, 0]


def test_images_exchanged_in_a_frame_are_not_foreign() -> None:
    found = find(with_box(table(), "#0a5a3c"), with_box(table(), "#a00a3c"))
    assert [side.area for side in found] == [0, 0]
