"""Affine maps and homographies between images, in units of their own width and height.

A map [3, 3] takes points as columns (x, y, 1) of its source to points of its target, up to a factor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from visdiv_assets.duplicates.verify.prepared import Box

#: The eight ways to lay one image on another: (turns of 90 degrees, mirrored first), as numpy's rot90 and fliplr do.
ORIENTATIONS = tuple((turns, mirrored) for mirrored in (False, True) for turns in range(4))


def matrix_of(transform: Sequence[float]) -> NDArray[np.float64]:
    """Return the map [3, 3] of a stored transform: six numbers of an affine map, or nine of a homography, by rows."""
    return np.reshape([*transform, 0.0, 0.0, 1.0][:9], (3, 3))


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a map [3, 3]."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def orientation_map(turns: int, mirrored: bool) -> NDArray[np.float64]:
    """Return the map [3, 3] from a point of the unit square to where `rot90(fliplr(image), turns)` shows it."""
    matrix = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    quarter = np.array([[0.0, 1, 0], [-1, 0, 1], [0, 0, 1]])
    for _ in range(turns):
        matrix = quarter @ matrix
    return matrix


def box_map(box: Box) -> NDArray[np.float64]:
    """Return the map [3, 3] from the unit square onto a box."""
    x0, y0, x1, y1 = box
    return np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0], [0, 0, 1.0]])


def to_pixels(size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the map [3, 3] from units to pixel indices of an image of (width, height); pixel centers are integers."""
    return np.array([[size[0], 0, -0.5], [0, size[1], -0.5], [0, 0, 1.0]])


def in_pixels(matrix: NDArray[np.float64], target: tuple[int, int], source: tuple[int, int]) -> NDArray[np.float64]:
    """Convert a map between units to a map between pixel indices.

    Args:
        matrix: map [3, 3] from units of the source to units of the target.
        target: width and height of the target in pixels.
        source: width and height of the source in pixels.
    """
    result: NDArray[np.float64] = to_pixels(target) @ matrix @ inverse(to_pixels(source))
    return result


def in_units(matrix: NDArray[np.float64], target: tuple[int, int], source: tuple[int, int]) -> NDArray[np.float64]:
    """Convert a map between pixel indices to a map between units: the inverse of `in_pixels`."""
    result: NDArray[np.float64] = inverse(to_pixels(target)) @ matrix @ to_pixels(source)
    return result


def map_points(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a map takes points [n, 2]."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


def slope_of(pixels: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the linear part [2, 2] of a map between pixels at the center of its source of (width, height)."""
    center = np.array([size[0] / 2, size[1] / 2, 1.0])
    x, y, depth = pixels @ center
    return np.asarray((pixels[:2, :2] - np.outer([x / depth, y / depth], pixels[2, :2])) / depth, np.float64)


def is_plausible(pixels: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Return whether copying may produce a map between pixels: moderate shear, stretch and scale.

    Args:
        pixels: map [3, 3].
        size: width and height of its source in pixels.
    """
    corners = np.array([[0.0, 0, 1], [size[0], 0, 1], [size[0], size[1], 1], [0, size[1], 1]])
    if not np.isfinite(pixels).all() or (corners @ pixels[2] < 0.1 * pixels[2, 2]).any():
        return False
    slope = slope_of(pixels, size)
    values = np.linalg.svd(slope, compute_uv=False)
    # Aspect ratios changed by more than about 3 and sizes by more than about 25 are not considered.
    if values[1] < 0.04 or values[0] > 25 or values[0] / values[1] > 3.2:
        return False
    cosine = abs(float(slope[:, 0] @ slope[:, 1])) / float(np.linalg.norm(slope[:, 0]) * np.linalg.norm(slope[:, 1]))
    return cosine < 0.4


def overlap_of(matrix: NDArray[np.float64]) -> tuple[float, float]:
    """Return how much two images cover of one another.

    Args:
        matrix: map [3, 3] from units of the first image to units of the second.

    Returns:
        The shares of the first and of the second image that lie in both, 0 to 1.
    """
    corners = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    polygon = [(float(x), float(y)) for x, y in map_points(matrix, corners)]
    whole = _area(polygon)
    for axis, sign, limit in ((0, 1, 0.0), (0, -1, -1.0), (1, 1, 0.0), (1, -1, -1.0)):
        polygon = _clip_polygon(polygon, axis, sign, limit)
    common = _area(polygon)
    return min(1.0, common / max(whole, 1e-12)), min(1.0, common)


def _clip_polygon(polygon: list[tuple[float, float]], axis: int, sign: int, limit: float) -> list[tuple[float, float]]:
    """Return the part of a convex polygon where sign * coordinate >= limit (Sutherland and Hodgman 1974)."""
    kept: list[tuple[float, float]] = []
    for index, point in enumerate(polygon):
        before = polygon[index - 1]
        d0, d1 = sign * before[axis] - limit, sign * point[axis] - limit
        if (d0 < 0) != (d1 < 0):
            t = d0 / (d0 - d1)
            kept.append((before[0] + t * (point[0] - before[0]), before[1] + t * (point[1] - before[1])))
        if d1 >= 0:
            kept.append(point)
    return kept


def _area(polygon: list[tuple[float, float]]) -> float:
    total = sum(polygon[i - 1][0] * polygon[i][1] - polygon[i][0] * polygon[i - 1][1] for i in range(len(polygon)))
    return abs(total) / 2


def turned_degrees(slope: NDArray[np.float64]) -> float:
    """Return the angle by which the linear part [2, 2] of a map turns an image, 0 to 180; 0 for a mirror image."""
    if np.linalg.det(slope) < 0:
        return 0.0
    return abs(math.degrees(math.atan2(slope[1, 0] - slope[0, 1], slope[0, 0] + slope[1, 1])))


def find_uncovered(matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a frame shows nothing of an image mapped into it, except for a margin of two pixels.

    Args:
        matrix: map [3, 3] from units of the image to units of the frame.
        size: width and height of the frame in pixels.

    Returns:
        bool [height, width].
    """
    import cv2

    corners = map_points(to_pixels(size) @ matrix, np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]))
    covered = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(covered, np.round(corners).astype(np.int32), 1)
    result: NDArray[np.bool_] = cv2.dilate(covered, np.ones((5, 5), np.uint8)) == 0
    return result
