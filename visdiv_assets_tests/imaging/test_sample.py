"""The special rows of the sample."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from visdiv_assets.imaging.decode import DecodedImage, ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.imaging.images import MAX_PIXELS

SAMPLE = Path(__file__).parents[2] / "data" / "sample"

EXPECTED = {
    "truncated_png": (ImageStatus.TRUNCATED, "png"),
    "empty_bytes": (ImageStatus.EMPTY, None),
    "html_instead_of_image": (ImageStatus.NOT_AN_IMAGE, None),
    "corrupt_jpeg": (ImageStatus.CORRUPT, "jpeg"),
    "cmyk_jpeg": (ImageStatus.OK, "jpeg"),
    "gray16_png": (ImageStatus.OK, "png"),
    "palette_alpha_png": (ImageStatus.OK, "png"),
    "exif_rotated_jpeg": (ImageStatus.OK, "jpeg"),
    "one_pixel_png": (ImageStatus.OK, "png"),
    "wide_1x400_png": (ImageStatus.OK, "png"),
    "webp": (ImageStatus.OK, "webp"),
    "gif": (ImageStatus.OK, "gif"),
}


@cache
def special_rows() -> dict[str, bytes]:
    rows: list[list[dict[str, bytes]]] = []
    for path in sorted((SAMPLE / "subsets" / "clipart_things").glob("*.parquet")):
        rows.extend(pq.read_table(path, columns=["images"]).column("images").to_pylist())
    truth = json.loads((SAMPLE / "truth.json").read_text())["special_rows"]
    return {row["what"]: rows[row["row"]][0]["bytes"] for row in truth}


def decoded(what: str) -> DecodedImage:
    return decode_image(special_rows()[what], limits=DecodeLimits(MAX_PIXELS))


def test_every_special_row_is_expected_here() -> None:
    assert set(special_rows()) == set(EXPECTED)


@pytest.mark.parametrize("what", EXPECTED)
def test_a_special_row_has_its_status(what: str) -> None:
    result = decoded(what)
    assert (result.status, result.format) == EXPECTED[what]
    assert (result.pixels is None) == (result.status is not ImageStatus.OK)
    assert (result.detail == "") == (result.status is ImageStatus.OK)


def test_the_gray16_image_is_not_clipped_to_white() -> None:
    values = np.asarray(decoded("gray16_png").pixels)
    assert len(np.unique(values)) > 100
    assert 20 < values.mean() < 235


def test_the_rotated_image_has_its_sides_swapped() -> None:
    result = decoded("exif_rotated_jpeg")
    assert result.pixels is not None
    assert (result.width, result.height) == result.pixels.size == (90, 120)


def test_the_palette_alpha_image_lies_on_white() -> None:
    with Image.open(io.BytesIO(special_rows()["palette_alpha_png"])) as image:
        transparent = np.asarray(image) == image.info["transparency"]
    assert transparent.any()
    assert (np.asarray(decoded("palette_alpha_png").pixels)[transparent] == 255).all()
