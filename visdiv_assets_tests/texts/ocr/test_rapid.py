"""The reader PP-OCRv6 on drawn images. Loading it and reading an image take seconds, so few images are read."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visdiv_assets import extras
from visdiv_assets.errors import ConfigError, ModelError
from visdiv_assets.texts.ocr import rapid
from visdiv_assets.texts.ocr.rapid import MIN_SIDE, RapidReader, reader_id
from visdiv_assets_tests.testing.corpora.shared import font

LINES = ("Image not found", "Total: 1,234.56")


def refuse(*arguments: Any, **options: Any) -> None:
    raise AssertionError("the reader opens a connection")


def drawn() -> np.ndarray:
    """Draw two lines, the second in red at a known position."""
    image = Image.new("RGB", (480, 360), "white")
    draw = ImageDraw.Draw(image)
    draw.text((40, 60), LINES[0], "black", font(36))
    draw.text((40, 240), LINES[1], (200, 0, 0), font(36))
    return np.asarray(image)


def test_drawn_text_is_read_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    reader = RapidReader(1)
    found = reader.read(drawn())
    assert tuple(found.texts) == LINES
    assert found.boxes.shape == (2, 4, 2)
    assert found.boxes.dtype == found.confidences.dtype == np.float32
    assert 0.8 < found.confidences.min() <= found.confidences.max() <= 1
    first, second = found.boxes
    assert first[0] == pytest.approx([40 / 480, 60 / 360], abs=0.04)
    assert second[:, 1].min() > 0.6
    assert reader.read(np.full((MIN_SIDE - 1, 300, 3), 9, np.uint8)).texts == []
    assert reader_id().startswith("pp-ocrv6_small@")


def test_an_error_of_the_reader_is_one_of_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, params: dict[str, Any]) -> None:
            assert {f"{part}.model_path" for part in rapid.WEIGHTS} <= set(params)

        def __call__(self, pixels: np.ndarray) -> None:
            raise ValueError("no contours")

    import rapidocr

    monkeypatch.setattr(rapidocr, "RapidOCR", Broken, raising=False)
    with pytest.raises(ModelError, match="rapidocr fails on an image of 30 x 20 pixels: no contours"):
        RapidReader(1).read(np.zeros((20, 30, 3), np.uint8))


def test_without_rapidocr_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"rapidocr is not installed: run `pip install 'visdiv-assets\[ocr\]'`"):
        RapidReader(1)


def test_a_wheel_without_the_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rapid, "WEIGHTS", {"Det": "PP-OCRv9_det.onnx"})
    with pytest.raises(ModelError, match=r"comes without PP-OCRv9_det.onnx: run `pip install"):
        RapidReader(1)
