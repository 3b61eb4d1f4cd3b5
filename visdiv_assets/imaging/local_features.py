"""Local features of an image: corners with binary descriptors, packed into at most 8 kB.

Verification matches them to find where one image shows another. They follow ORB (Rublee et al. 2011): Harris corners in
a pyramid, directions by intensity centroid, and comparisons of smoothed gray levels as bits. Two things differ: corners
are taken from all parts and scales of the image, so that copies share some, whatever was cropped or pasted over; and
the comparisons are symmetric, so that the descriptors of the mirrored image and of the negative follow without pixels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Size of an image's packed features, at most.
MAX_BYTES = 8192
#: Bytes of a descriptor.
DESCRIPTOR_BYTES = 32
#: Area in pixels to which an image is resized first, so that copies of any size have corners of the same size.
WORKING_PIXELS = 160_000
#: Longest side after the resize.
MAX_WORKING_SIDE = 1024
#: A small image is enlarged at most so many times.
MAX_ENLARGEMENT = 8.0

#: Width and height of the working size.
_HEADER = struct.Struct("<HH")
_FEATURE = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("angle", "u1"), ("level", "u1"), ("descriptor", "u1", DESCRIPTOR_BYTES)]
)
#: Number of features of an image, at most.
MAX_FEATURES = (MAX_BYTES - _HEADER.size) // _FEATURE.itemsize
#: Steps of a coordinate over the width or height, and of an angle over a full turn.
_STEPS, _ANGLES = 65535, 256

_LEVELS = 7
_LEVEL_SCALE = 1.25
#: A level's share of the features, relative to the level above, is the scale to this power.
_LEVEL_POWER = -1.5
#: Side of the window of the Harris measure in pixels, its constant k, and its minimum at a corner.
_HARRIS_WINDOW, _HARRIS_K, _MIN_CORNER = 5, 0.04, 1e-8
#: A corner is the maximum of a square of this side.
_MAXIMUM_SIDE = 5
#: Corners lie at least so many pixels inside a level.
_MARGIN = 6
#: Half of the features are the strongest corners, the others the strongest of each cell of a grid of this many rows.
_GRID = 4
#: Radius in pixels of the neighborhood that is described.
_RADIUS = 15
#: Standard deviation in pixels of the smoothing before gray levels are compared.
_SMOOTHING = 2.0
#: Bytes of a row of the array that holds all levels below one another, with a margin of `_RADIUS + 1` on all sides.
_STRIDE = MAX_WORKING_SIDE + 2 * (_RADIUS + 1)


@dataclass(frozen=True, slots=True)
class LocalFeatures:
    """The local features of one image.

    Attributes:
        points: float32 [n, 2], x and y in units of width and height, corners of the image at 0 and 1.
        angles: float32 [n], directions in radians, clockwise because y points down.
        sizes: float32 [n], diameters of the described neighborhoods in pixels of the working size.
        descriptors: uint8 [n, 32].
        size: width and height of the working size in pixels; (0, 0) if there are no features.
    """

    points: NDArray[np.float32]
    angles: NDArray[np.float32]
    sizes: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    size: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.points)

    def mirrored(self) -> LocalFeatures:
        """Return the features of the image mirrored left to right, in the same order."""
        points = self.points.copy()
        points[:, 0] = 1 - points[:, 0]
        swapped = ((self.descriptors & 0x55) << 1) | ((self.descriptors & 0xAA) >> 1)
        angles = np.mod(np.float32(np.pi) - self.angles, np.float32(2 * np.pi))
        return LocalFeatures(points, angles, self.sizes, swapped.astype(np.uint8), self.size)

    def inverted(self) -> LocalFeatures:
        """Return the features of the negative of the image, in the same order."""
        # Directions turn by half a circle, and the results of all comparisons are the opposite.
        swapped = ((self.descriptors & 0x33) << 2) | ((self.descriptors & 0xCC) >> 2)
        angles = np.mod(self.angles + np.float32(np.pi), np.float32(2 * np.pi))
        return LocalFeatures(self.points, angles, self.sizes, (~swapped).astype(np.uint8), self.size)


@dataclass(frozen=True, slots=True)
class _Corners:
    """Corners of all levels: x, y and level int64 [n], positions within their level; the best first."""

    x: NDArray[np.int64]
    y: NDArray[np.int64]
    level: NDArray[np.int64]

    def take(self, index: NDArray[np.int64]) -> _Corners:
        return _Corners(self.x[index], self.y[index], self.level[index])


def extract_features(image: Image) -> bytes:
    """Extract the local features of an RGB image.

    The result depends on the pixels only, not on threads or earlier calls.

    Returns:
        the packed features, at most `MAX_BYTES`, for `unpack_features`; empty if the image shows no corners.
    """
    levels = _pyramid(_working_gray(image))
    height, width = levels[0].shape if levels else (0, 0)
    corners = _choose(_detect(levels))
    if not len(corners.x):
        return b""
    packed = np.zeros(len(corners.x), _FEATURE)
    sizes = np.array([level.shape[::-1] for level in levels])[corners.level]
    packed["x"] = np.rint((corners.x + 0.5) / sizes[:, 0] * _STEPS)
    packed["y"] = np.rint((corners.y + 0.5) / sizes[:, 1] * _STEPS)
    packed["level"] = corners.level
    packed["angle"], packed["descriptor"] = _describe(levels, corners)
    return _HEADER.pack(width, height) + packed.tobytes()


def unpack_features(data: bytes) -> LocalFeatures:
    """Return the features that `extract_features` packed.

    Raises:
        ValueError: the bytes are not packed features.
    """
    if data and (len(data) - _HEADER.size) % _FEATURE.itemsize:
        raise ValueError(f"{len(data)} bytes are not packed local features")
    size = _HEADER.unpack_from(data) if data else (0, 0)
    packed = np.frombuffer(data[_HEADER.size :], _FEATURE)
    points = np.column_stack([packed["x"], packed["y"]]).astype(np.float32) / np.float32(_STEPS)
    angles = packed["angle"].astype(np.float32) * np.float32(2 * np.pi / _ANGLES)
    sizes = np.float32(2 * _RADIUS + 1) * np.float32(_LEVEL_SCALE) ** packed["level"].astype(np.float32)
    return LocalFeatures(points, angles, sizes, np.ascontiguousarray(packed["descriptor"]), size)


def _working_gray(image: Image) -> NDArray[np.uint8]:
    """Return an image in gray levels at the working size, uint8 [h, w]."""
    import cv2

    width, height = image.size
    scale = min((WORKING_PIXELS / (width * height)) ** 0.5, MAX_WORKING_SIDE / max(width, height), MAX_ENLARGEMENT)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factor = int(min(width / size[0], height / size[1]) / 2)
    if factor > 1:
        # Average whole pixels first, which is fast, and leaves at least twice the working size.
        image = image.reduce(factor)
    gray = np.asarray(image.convert("L"))
    shrinks = size[0] < gray.shape[1] or size[1] < gray.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(gray, size, interpolation=method), np.uint8)


def _pyramid(gray: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return an image at smaller and smaller sizes, as long as corners may lie inside."""
    import cv2

    levels: list[NDArray[np.uint8]] = []
    height, width = gray.shape
    for index in range(_LEVELS):
        size = (round(width * _LEVEL_SCALE**-index), round(height * _LEVEL_SCALE**-index))
        if min(size) <= 2 * _MARGIN:
            break
        levels.append(np.asarray(cv2.resize(levels[-1], size), np.uint8) if levels else gray)
    return levels


def _detect(levels: list[NDArray[np.uint8]]) -> _Corners:
    """Return the corners of all levels, the strongest of each level in turns."""
    import cv2

    square = np.ones((_MAXIMUM_SIDE, _MAXIMUM_SIDE), np.uint8)
    inner = np.s_[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    turns, x, y, of_level = [], [], [], []
    for index, level in enumerate(levels):
        strength = cv2.cornerHarris(level, _HARRIS_WINDOW, 3, _HARRIS_K)
        is_corner = (cv2.dilate(strength, square)[inner] == strength[inner]) & (strength[inner] > _MIN_CORNER)
        rows, columns = np.divmod(np.flatnonzero(is_corner), is_corner.shape[1])
        # The stable order leaves ties as the raster has them.
        order = np.argsort(-strength[inner][rows, columns], kind="stable")
        turns.append((np.arange(len(order)) + 0.5) / _LEVEL_SCALE ** (index * _LEVEL_POWER))
        x.append(columns[order] + _MARGIN)
        y.append(rows[order] + _MARGIN)
        of_level.append(np.full(len(order), index))
    empty = np.empty(0, np.int64)
    corners = _Corners(*(np.concatenate([empty, *parts]) for parts in (x, y, of_level)))
    return corners.take(np.argsort(np.concatenate([np.empty(0), *turns]), kind="stable"))


def _choose(corners: _Corners) -> _Corners:
    """Return at most `MAX_FEATURES` of the corners: half of them the best, the others the best of each cell."""
    if len(corners.x) <= MAX_FEATURES:
        return corners
    half = MAX_FEATURES // 2
    scale = _LEVEL_SCALE**corners.level
    columns, rows = corners.x * scale, corners.y * scale
    cell = _cell(rows) * _GRID + _cell(columns)
    order = np.argsort(cell, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    by_rank = np.argsort(rank, kind="stable")
    others = by_rank[by_rank >= half][: MAX_FEATURES - half]
    return corners.take(np.concatenate([np.arange(half), others]))


def _cell(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return in which of `_GRID` equal parts of their range values lie."""
    low, high = float(values.min()), float(values.max())
    return np.minimum((values - low) / max(high - low, 1.0) * _GRID, _GRID - 1).astype(np.int64)


def _describe(levels: list[NDArray[np.uint8]], corners: _Corners) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the direction (of `_ANGLES`) [n] and the descriptor uint8 [n, 32] of each corner."""
    import cv2

    margin = _RADIUS + 1
    starts = np.cumsum([0, *(level.shape[0] + 2 * margin for level in levels)])
    below = np.empty((starts[-1], _STRIDE), np.uint8)
    for start, level in zip(starts[:-1].tolist(), levels, strict=True):
        padded = cv2.copyMakeBorder(level, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        rows, columns = padded.shape
        below[start : start + rows, :columns] = cv2.GaussianBlur(padded, (7, 7), _SMOOTHING)
    centers = ((starts[corners.level] + corners.y + margin) * _STRIDE + corners.x + margin).astype(np.int32)[:, None]
    values = below.reshape(-1)
    disk, weights = _disk()
    moments = values[centers + disk].astype(np.float32) @ weights
    # Whole numbers in float32: their sum is exact whatever its order.
    angle = np.rint(np.arctan2(moments[:, 1], moments[:, 0]) * (_ANGLES / (2 * np.pi))).astype(np.int64) % _ANGLES
    compared = values[centers + _comparisons()[angle]]
    half = compared.shape[1] // 2
    return angle, np.packbits(compared[:, :half] < compared[:, half:], axis=1)


@cache
def _disk() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return every second point of the neighborhood: offsets [n] in the array of levels, and x and y [n, 2]."""
    y, x = np.mgrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    inside = (x**2 + y**2 <= _RADIUS**2) & ((x + y) % 2 == 0)
    x, y = x[inside], y[inside]
    return (y * _STRIDE + x).astype(np.int32), np.column_stack([x, y]).astype(np.float32)


@cache
def _comparisons() -> NDArray[np.int32]:
    """Return the points that are compared, for each direction: offsets in the array of levels, int32 [256, 512].

    Bit i compares offset i with offset 256 + i. Points are drawn from a normal distribution (Calonder et al. 2010), by
    the generator of NumPy whose numbers never change. Of four bits the second compares the points of the first mirrored
    across the direction, the third those turned by half a circle, and the fourth both.
    """
    random = np.random.RandomState(0)
    drawn: list[NDArray[np.float64]] = []
    while len(drawn) < DESCRIPTOR_BYTES * 2:
        ends = random.normal(0, 0.4 * _RADIUS, (2, 2))
        if np.hypot(*ends.T).max() <= _RADIUS and np.hypot(*(ends[0] - ends[1])) > 3:
            drawn.append(ends)
    partners = [np.array(drawn) * signs for signs in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    pairs = np.stack(partners, axis=1).reshape(-1, 2, 2)
    x, y = pairs.transpose(1, 0, 2).reshape(-1, 2).T
    turn = np.arange(_ANGLES)[:, None] * (2 * np.pi / _ANGLES)
    columns = np.rint(np.cos(turn) * x - np.sin(turn) * y)
    rows = np.rint(np.sin(turn) * x + np.cos(turn) * y)
    return np.asarray(rows * _STRIDE + columns, np.int32)
