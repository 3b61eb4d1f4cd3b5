"""Photographs are told from drawings, pages and charts."""

from __future__ import annotations

import pytest
from PIL import Image

from visdiv_assets.duplicates.verify import DEFAULT_PARAMS, prepare
from visdiv_assets.duplicates.verify.decision import Features, is_photographic
from visdiv_assets_tests.duplicates.verify.test_decisions import photograph
from visdiv_assets_tests.testing.corpora import KINDS, draw


def is_photograph(image: Image.Image) -> bool:
    view = prepare(image).thumbnail
    return is_photographic(
        Features(0, 0.0, view.plainness, view.flatness, view.flatness, view.richness, 256), DEFAULT_PARAMS
    )


@pytest.mark.parametrize("seed", range(3))
def test_texture_everywhere_is_photographic(seed: int) -> None:
    assert is_photograph(photograph(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_drawings_are_not_photographic(kind: str) -> None:
    assert not is_photograph(draw(kind, 0, 0))
