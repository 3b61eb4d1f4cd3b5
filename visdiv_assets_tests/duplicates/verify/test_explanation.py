"""`explain` shows one image in the frame of the other and marks where the two disagree."""

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.duplicates.verify import explain, prepare, verify
from visdiv_assets_tests.duplicates.verify.images import flag, scene, table


def test_the_changed_place_is_marked_and_nothing_else() -> None:
    a, b = prepare(table()), prepare(table({(5, 3): "748.2"}).resize((960, 720)))
    shown = explain(a.pixels, b.pixels, verify(a, b))
    assert shown.b is not None
    assert shown.disagrees is not None
    assert shown.a.size == shown.b.size == shown.disagrees.shape[::-1] == (640, 480)
    # The number's place in the drawing.
    place = np.zeros(shown.disagrees.shape, bool)
    place[200:245, 320:390] = True
    assert shown.disagrees[place].any()
    assert not shown.disagrees[~place].any()


def test_a_copy_is_shown_in_the_frame_of_the_other() -> None:
    image = scene(5)
    a, b = prepare(image), prepare(image.transpose(Image.Transpose.ROTATE_90).crop((10, 20, 320, 440)))
    shown = explain(a.pixels, b.pixels, verify(a, b))
    assert shown.b is not None
    difference = np.abs(np.asarray(shown.a, np.float32) - np.asarray(shown.b, np.float32))
    assert np.median(difference) < 6


def test_a_changed_color_is_marked() -> None:
    a, b = prepare(flag(("#c8102e", "#ffffff", "#0038a8"))), prepare(flag(("#c8102e", "#ffffff", "#007a3d")))
    shown = explain(a.pixels, b.pixels, verify(a, b))
    assert shown.disagrees is not None
    assert shown.disagrees[60:180, 280:330].mean() > 0.9


@pytest.mark.parametrize("other", [None, scene(7)])
def test_without_an_alignment_there_is_only_the_image(other: Image.Image | None) -> None:
    a, b = prepare(table()), prepare(other)
    evidence = verify(a, b)
    shown = explain(a.pixels, b.pixels, evidence)
    assert shown.a.size == (640, 480)
    if not evidence.transform:
        assert shown.b is None
        assert shown.disagrees is None
