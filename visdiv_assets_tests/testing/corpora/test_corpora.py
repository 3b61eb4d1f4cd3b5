from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

from visdiv_assets_tests.testing.corpora import KINDS, draw, look_alike_pairs, look_alikes

#: Levels by which some window of 9 x 9 differs on average in some channel.
VISIBLE = 20


def shown(image: Image.Image) -> Image.Image:
    """As it is looked at: the long side 480 pixels."""
    scale = 480 / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)


def visible_difference(a: Image.Image, b: Image.Image) -> int:
    difference = ImageChops.difference(a, b).filter(ImageFilter.BoxBlur(4))
    return int(np.asarray(difference).max())


def test_there_are_many_kinds() -> None:
    assert len(KINDS) == len(set(KINDS)) >= 20


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_give_the_same_image_and_no_others_do(kind: str) -> None:
    for template in (0, 1):
        images = {content: draw(kind, template, content) for content in (0, 1, 3, 4, 8)}
        first = images[0]
        assert first.mode == "RGB"
        assert 560 <= max(first.size) <= 1200
        assert draw(kind, template, 0).tobytes() == first.tobytes()
        assert {image.size for image in images.values()} == {first.size}
        small = [shown(image) for image in images.values()]
        for a, b in itertools.combinations(small, 2):
            assert visible_difference(a, b) > VISIBLE


@pytest.mark.parametrize("kind", KINDS)
def test_one_thing_changed_leaves_most_of_the_image(kind: str) -> None:
    shares = []
    for template in (0, 1, 2):
        difference = np.asarray(ImageChops.difference(draw(kind, template, 0), draw(kind, template, 1)))
        shares.append(float((difference.max(axis=2) > 8).mean()))
    # A flag has but three colors.
    assert max(shares) < (0.7 if kind == "flag" else 0.2)


def test_templates_differ() -> None:
    for kind in ("invoice", "flag", "chess_board"):
        assert len({draw(kind, template, 0).tobytes() for template in range(6)}) == 6


def test_pairs_are_of_one_template_and_other_contents() -> None:
    pairs = list(look_alikes(8))
    assert len(pairs) == len(set(pairs)) == 8 * len(KINDS)
    assert all(pair.content_a != pair.content_b for pair in pairs)
    assert 2 * sum(pair.small for pair in pairs) == len(pairs)
    kind, a, b = next(look_alike_pairs(1))
    assert (kind, a.tobytes()) == (pairs[0].kind, draw(kind, pairs[0].template, pairs[0].content_a).tobytes())
    assert visible_difference(shown(a), shown(b)) > VISIBLE
