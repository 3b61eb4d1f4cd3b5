"""Prepare an image for comparison: gray and color views of limited size."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.duplicates.verify.geometry import ORIENTATIONS
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
    """One image at working size: built by `prepare_pixels`, immutable and safe to share among threads.

    It holds at most `PreparationParams.working_pixels` bytes of gray and a third of that of color, 480 kB,
    and what is computed on first access.

    Attributes:
        readable: False for an image that could not be decoded; the other attributes are then meaningless.
        size: width and height of the given image in pixels.
        digest: hash of size and RGB pixels.
        gray: uint8 [h, w], luminance (ITU-R 601) at working size.
        color: uint8 [ceil(h / r), ceil(w / r), 3], RGB; r is `PreparationParams.color_reduction`, 3 by default.
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
        self._params = params

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the luminance at working size, gray levels."""
        return float(self.gray.std())

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """The luminance at `PreparationParams.small_pixels` or less, uint8 [h, w], where points are tracked."""
        return _shrink(self.gray, self._params.preparation.small_pixels)

    @cached_property
    def plainness(self) -> float:
        """Share of pixels near the most frequent level, 0 to 1: most of a page or a chart has one."""
        levels = np.bincount(self.gray.ravel(), minlength=256) / self.gray.size
        return float(np.convolve(levels, np.ones(17), "same").max())

    @cached_property
    def flatness(self) -> float:
        """Mean share of a textured block's pixels near one level, 0 to 1: blocks of a drawing hold two levels."""
        if len(self._textured) < 5:
            return 1.0
        blocks = self._textured[:: -(-len(self._textured) // 100)].astype(np.int16)
        near = (np.abs(blocks[:, :, None] - blocks[:, None, :]) <= 6).sum(2).max(1)
        return float(near.mean()) / 64

    @cached_property
    def richness(self) -> float:
        """Share of the textured blocks that hold more than 20 levels, 0 to 1: few blocks of a drawing do."""
        if len(self._textured) < 5:
            return 0.0
        ordered = np.sort(self._textured, axis=1)
        levels = 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
        return float((levels > 20).mean())

    @cached_property
    def _textured(self) -> NDArray[np.uint8]:
        """The blocks of 8 x 8 pixels whose standard deviation is above 6 levels, uint8 [n, 64]."""
        rows, columns = self.gray.shape[0] // 8, self.gray.shape[1] // 8
        squares = self.gray[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
        blocks = squares.transpose(0, 2, 1, 3).reshape(-1, 64)
        return np.asarray(blocks[blocks.std(1) > 6])

    @cached_property
    def view(self) -> NDArray[np.uint8]:
        """RGB [h, w, 3] at working size, of the colors of the color view and the brightness of the gray view."""
        import cv2

        color = cv2.resize(self.color, (self.gray.shape[1], self.gray.shape[0]), interpolation=cv2.INTER_LINEAR)
        parts = cv2.cvtColor(color, cv2.COLOR_RGB2YCrCb)
        parts[..., 0] = self.gray
        return np.asarray(cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB), np.uint8)

    def negative(self) -> PreparedImage:
        """Return the negative of the image."""
        return PreparedImage(self.size, self.digest, 255 - self.gray, 255 - self.color, self._params)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The whole image, and what remains after its plain borders are cut off once and twice."""
        boxes = [FULL]
        for _ in range(2):
            inner = _trim(self.small, boxes[-1], self._params.preparation)
            if inner is None:
                break
            boxes.append(inner)
        side = self._params.preparation.frame_side
        return tuple(Frame(box, _make_thumbnail(self.small, box, side)) for box in boxes)

    @cached_property
    def turned_frames(self) -> NDArray[np.float32]:
        """The thumbnail of each frame in each of `ORIENTATIONS`, float32 [frames * 8, side * side]."""
        turned = [
            np.rot90(np.fliplr(frame.thumb) if mirrored else frame.thumb, turns).ravel()
            for frame in self.frames
            for turns, mirrored in ORIENTATIONS
        ]
        return np.stack(turned)


def prepare_pixels(image: Image | None, params: VerifyParams = DEFAULT_PARAMS) -> PreparedImage:
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
