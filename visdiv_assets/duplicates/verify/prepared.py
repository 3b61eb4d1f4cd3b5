"""One image made ready for comparison: small gray and color views, and keypoints on demand."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify import params
from visdiv_assets.duplicates.verify.keypoints import Keypoints, find_keypoints

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: x0, y0, x1, y1 in units of the image's width and height.
Box = tuple[float, float, float, float]
FULL: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A part of an image that may be what another image shows, as a thumbnail.

    Attributes:
        box: the part.
        thumb: float32 [32, 32], the part stretched to a square, zero mean and unit length.
    """

    box: Box
    thumb: NDArray[np.float32]


class Prepared:
    """One image at working size; built by `prepare`, never changed, safe among threads.

    It holds at most `thresholds.WORKING_PIXELS` bytes of gray and a third of that of color (some 400 kB), and as much
    as 100 kB of keypoints once a comparison needed them.

    Attributes:
        readable: False for an image that could not be decoded; then nothing else means anything.
        size: width and height in pixels as given.
        digest: hash of size and RGB pixels.
        gray: uint8 [h, w], luminance (ITU-R 601) at working size.
        color: uint8 [ceil(h / 3), ceil(w / 3), 3], RGB.
        deviation: standard deviation of the luminance, gray levels.
    """

    def __init__(
        self,
        size: tuple[int, int] = (0, 0),
        digest: bytes = b"",
        gray: NDArray[np.uint8] | None = None,
        color: NDArray[np.uint8] | None = None,
    ) -> None:
        self.readable = gray is not None
        self.size = size
        self.digest = digest
        self.gray = np.zeros((1, 1), np.uint8) if gray is None else gray
        self.color = np.zeros((1, 1, 3), np.uint8) if color is None else color
        self.deviation = float(self.gray.std())
        self._lock = threading.Lock()
        self._keypoints: Keypoints | None = None

    @property
    def keypoints(self) -> Keypoints:
        """The image's keypoints, found by the first comparison that needs them."""
        if self._keypoints is None:
            with self._lock:
                if self._keypoints is None:
                    self._keypoints = find_keypoints(_shrunk(self.gray, params.KEYPOINT_PIXELS))
        return self._keypoints

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """uint8 [h, w], the luminance at `SMALL_PIXELS` or less, where points are tracked."""
        return _shrunk(self.gray, params.SMALL_PIXELS)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The whole image, and what is left when its plain borders are cut off once and twice."""
        boxes = [FULL]
        for _ in range(2):
            inner = _trimmed(self.small, boxes[-1])
            if inner is None:
                break
            boxes.append(inner)
        return tuple(Frame(box, _thumb(self.small, box)) for box in boxes)


def prepare(image: Image | None) -> Prepared:
    """Make an image ready for comparison.

    Args:
        image: mode RGB, any size; None for one that could not be read.
    """
    import cv2

    if image is None or image.width < 1 or image.height < 1:
        return Prepared()
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    height, width = pixels.shape[:2]
    digest = hashlib.sha1(f"{width}x{height}".encode(), usedforsecurity=False)
    digest.update(np.ascontiguousarray(pixels).data)
    scale = min(1.0, (params.WORKING_PIXELS / (width * height)) ** 0.5, params.WORKING_SIDE / max(width, height))
    working = (max(1, round(width * scale)), max(1, round(height * scale)))
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if working != (width, height):
        gray = cv2.resize(gray, working, interpolation=cv2.INTER_AREA)
    third = params.COLOR_REDUCTION
    small = (-(-working[0] // third), -(-working[1] // third))
    color = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return Prepared((width, height), digest.digest(), np.asarray(gray, np.uint8), np.asarray(color, np.uint8))


def _shrunk(gray: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """An image at so many pixels, or as it is if it has no more."""
    import cv2

    height, width = gray.shape
    scale = min(1.0, (pixels / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return gray
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _thumb(gray: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    import cv2

    rows, columns = _pixels(gray, box)
    side = params.THUMB_SIDE
    thumb = np.asarray(cv2.resize(gray[rows, columns], (side, side), interpolation=cv2.INTER_AREA), np.float32)
    thumb = cv2.GaussianBlur(thumb, (0, 0), 0.7) - float(thumb.mean())
    return np.asarray(thumb / max(float(np.linalg.norm(thumb)), 1e-6), np.float32)


def _pixels(gray: NDArray[np.uint8], box: Box) -> tuple[slice, slice]:
    height, width = gray.shape
    x0, y0, x1, y1 = (round(v * n) for v, n in zip(box, (width, height, width, height), strict=True))
    return slice(y0, y1), slice(x0, x1)


def _trimmed(gray: NDArray[np.uint8], box: Box) -> Box | None:
    """The box without its plain border; None if it has none or nothing is left of it."""
    height, width = gray.shape
    rows, columns = _pixels(gray, box)
    part = gray[rows, columns]
    edges = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    background = float(np.median(edges))
    differs = np.abs(part.astype(np.int16) - np.int16(background)) > params.BORDER_TOLERANCE
    # A few odd pixels of JPEG ringing do not make a row part of the content.
    row_counts, column_counts = differs.sum(1), differs.sum(0)
    rows_in = np.flatnonzero(row_counts > 0.004 * part.shape[1])
    columns_in = np.flatnonzero(column_counts > 0.004 * part.shape[0])
    if not len(rows_in) or not len(columns_in):
        return None
    top, bottom, left, right = rows_in[0], rows_in[-1] + 1, columns_in[0], columns_in[-1] + 1
    if bottom - top < params.SMALLEST_SIDE or right - left < params.SMALLEST_SIDE:
        return None
    if (bottom - top, right - left) == part.shape:
        return None
    return (
        float(columns.start + left) / width,
        float(rows.start + top) / height,
        float(columns.start + right) / width,
        float(rows.start + bottom) / height,
    )
