"""Prepare an image for comparison: small gray and color views, and keypoints on demand."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.keypoints import Keypoints, find_keypoints
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, PreparationParams, VerifyParams

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: (x0, y0, x1, y1) in units of the image's width and height.
Box = tuple[float, float, float, float]
FULL: Box = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A thumbnail of a part of an image that another image may show.

    Attributes:
        box: the part.
        thumb: float32 [side, side], the part stretched to a square, with zero mean and unit length.
    """

    box: Box
    thumb: NDArray[np.float32]


class PreparedImage:
    """One image at working size: built by `prepare`, immutable and safe to share among threads.

    It holds at most `PreparationParams.working_pixels` bytes of gray and a third of that of color (some 400 kB), and
    up to 100 kB of keypoints after a comparison needed them.

    Attributes:
        readable: False for an image that could not be decoded; the other attributes are then meaningless.
        size: width and height of the given image in pixels.
        digest: hash of size and RGB pixels.
        gray: uint8 [h, w], luminance (ITU-R 601) at working size.
        color: uint8 [ceil(h / r), ceil(w / r), 3], RGB; r is `PreparationParams.color_reduction`, 3 by default.
        deviation: standard deviation of the luminance, gray levels.
    """

    def __init__(
        self,
        size: tuple[int, int] = (0, 0),
        digest: bytes = b"",
        gray: NDArray[np.uint8] | None = None,
        color: NDArray[np.uint8] | None = None,
        params: VerifyParams = DEFAULT_PARAMS,
    ) -> None:
        self.readable = gray is not None
        self.size = size
        self.digest = digest
        self.gray = np.zeros((1, 1), np.uint8) if gray is None else gray
        self.color = np.zeros((1, 1, 3), np.uint8) if color is None else color
        self.deviation = float(self.gray.std())
        self._params = params
        self._lock = threading.Lock()
        self._keypoints: Keypoints | None = None

    @property
    def keypoints(self) -> Keypoints:
        """The keypoints of the image, detected when they are first needed."""
        if self._keypoints is None:
            with self._lock:
                if self._keypoints is None:
                    view = _shrink(self.gray, self._params.preparation.keypoint_pixels)
                    self._keypoints = find_keypoints(view, self._params.keypoints)
        return self._keypoints

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """The luminance at `PreparationParams.small_pixels` or less, uint8 [h, w], where points are tracked."""
        return _shrink(self.gray, self._params.preparation.small_pixels)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The whole image, and what remains after its plain borders are cut off once and twice."""
        boxes = [FULL]
        for _ in range(2):
            inner = _trim(self.small, boxes[-1], self._params.preparation)
            if inner is None:
                break
            boxes.append(inner)
        side = self._params.preparation.thumbnail_side
        return tuple(Frame(box, _make_thumbnail(self.small, box, side)) for box in boxes)


def prepare(image: Image | None, params: VerifyParams = DEFAULT_PARAMS) -> PreparedImage:
    """Prepare an image for comparison.

    Args:
        image: image of any size; other modes are converted to RGB. None for an image that could not be read.
        params: parameters of the verification.
    """
    import cv2

    if image is None or image.width < 1 or image.height < 1:
        return PreparedImage(params=params)
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    height, width = pixels.shape[:2]
    digest = hashlib.sha1(f"{width}x{height}".encode(), usedforsecurity=False)
    digest.update(np.ascontiguousarray(pixels).data)
    limits = params.preparation
    scale = min(1.0, (limits.working_pixels / (width * height)) ** 0.5, limits.working_side / max(width, height))
    working = (max(1, round(width * scale)), max(1, round(height * scale)))
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if working != (width, height):
        gray = cv2.resize(gray, working, interpolation=cv2.INTER_AREA)
    reduction = limits.color_reduction
    small = (-(-working[0] // reduction), -(-working[1] // reduction))
    color = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    views = np.asarray(gray, np.uint8), np.asarray(color, np.uint8)
    return PreparedImage((width, height), digest.digest(), *views, params)


def _shrink(gray: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Reduce an image to a number of pixels; smaller images are returned unchanged."""
    import cv2

    height, width = gray.shape
    scale = min(1.0, (pixels / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return gray
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _make_thumbnail(gray: NDArray[np.uint8], box: Box, side: int) -> NDArray[np.float32]:
    import cv2

    rows, columns = _pixels(gray, box)
    thumb = np.asarray(cv2.resize(gray[rows, columns], (side, side), interpolation=cv2.INTER_AREA), np.float32)
    thumb = cv2.GaussianBlur(thumb, (0, 0), 0.7) - float(thumb.mean())
    return np.asarray(thumb / max(float(np.linalg.norm(thumb)), 1e-6), np.float32)


def _pixels(gray: NDArray[np.uint8], box: Box) -> tuple[slice, slice]:
    height, width = gray.shape
    x0, y0, x1, y1 = (round(v * n) for v, n in zip(box, (width, height, width, height), strict=True))
    return slice(y0, y1), slice(x0, x1)


def _trim(gray: NDArray[np.uint8], box: Box, params: PreparationParams) -> Box | None:
    """Return the box without its plain border; None if it has no border or too little is left."""
    height, width = gray.shape
    rows, columns = _pixels(gray, box)
    part = gray[rows, columns]
    edges = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]])
    background = float(np.median(edges))
    differs = np.abs(part.astype(np.int16) - np.int16(background)) > params.border_tolerance
    # A few pixels of JPEG ringing do not make a row part of the content.
    row_counts, column_counts = differs.sum(1), differs.sum(0)
    rows_in = np.flatnonzero(row_counts > 0.004 * part.shape[1])
    columns_in = np.flatnonzero(column_counts > 0.004 * part.shape[0])
    if not len(rows_in) or not len(columns_in):
        return None
    top, bottom, left, right = rows_in[0], rows_in[-1] + 1, columns_in[0], columns_in[-1] + 1
    if bottom - top < params.min_side or right - left < params.min_side:
        return None
    if (bottom - top, right - left) == part.shape:
        return None
    return (
        float(columns.start + left) / width,
        float(rows.start + top) / height,
        float(columns.start + right) / width,
        float(rows.start + bottom) / height,
    )
