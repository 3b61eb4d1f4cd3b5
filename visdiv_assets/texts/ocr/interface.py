"""The interface of readers of text in images."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class ReadText(NamedTuple):
    """The text of an image, in n boxes in reading order.

    Attributes:
        boxes: float32 [n, 4, 2], the corners of each box clockwise from the one at the top left, as x and y in units of
            the image's width and height.
        texts: the n texts.
        confidences: float32 [n], the reader's confidence in each text, 0 to 1.
    """

    boxes: np.ndarray
    texts: list[str]
    confidences: np.ndarray


class TextReader(Protocol):
    """Reads the text of images."""

    def read(self, pixels: np.ndarray) -> ReadText:
        """Read the text of an image.

        Args:
            pixels: RGB, uint8 [h, w, 3].

        Raises:
            ModelError: the reader fails on this image.
        """
        ...


def no_text() -> ReadText:
    """Return the result for an image without text."""
    return ReadText(np.empty((0, 4, 2), np.float32), [], np.empty(0, np.float32))
