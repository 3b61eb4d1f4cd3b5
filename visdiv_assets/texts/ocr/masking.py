"""Paint over the text of an image, to see what else it shows.

The idea is that of T-MARS (Maini et al. 2023, arXiv 2307.03132); how boxes are filled need not be the same.

Each box gets the average color of the pixels around it: of those outside of it, less than `BAND` pixels from its edges,
that lie in no other box. If there are none, it gets the average color of all pixels outside of the boxes; if boxes
cover the whole image, that of the whole image. Colors are those of the image as it was before any box was painted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

#: Width in pixels of the band around a box from which its color is taken.
BAND = 3


class _Window(NamedTuple):
    """The part of an image that a box and its band lie in.

    Attributes:
        rows: rows of the image.
        columns: columns of the image.
        inside: bool [rows, columns], pixels in the box.
        around: bool [rows, columns], pixels in its band.
    """

    rows: slice
    columns: slice
    inside: np.ndarray
    around: np.ndarray


def mask_boxes(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return a copy of an image in which each box has the average color of its surroundings; see the module.

    Args:
        pixels: RGB, uint8 [h, w, 3].
        boxes: float [n, 4, 2], corners in units of the image's width and height, as in `ReadText`. A pixel lies in a
            box if its center lies in the convex hull of the corners, edges included.

    Returns:
        uint8 [h, w, 3].
    """
    height, width = pixels.shape[:2]
    windows = list(_windows(boxes.astype(np.float64) * (width, height), height, width))
    in_a_box = np.zeros((height, width), bool)
    for window in windows:
        in_a_box[window.rows, window.columns] |= window.inside
    masked = pixels.copy()
    elsewhere: np.ndarray | None = None
    for rows, columns, inside, around in windows:
        band = pixels[rows, columns][around & ~in_a_box[rows, columns]]
        if len(band):
            color = _average(band)
        else:
            if elsewhere is None:
                elsewhere = _average(pixels[np.ones_like(in_a_box) if in_a_box.all() else ~in_a_box])
            color = elsewhere
        masked[rows, columns][inside] = color
    return masked


def _windows(boxes: np.ndarray, height: int, width: int) -> Iterator[_Window]:
    """Yield the pixels of each box, float64 [n, 4, 2] in pixels; boxes without area have none and are left out."""
    import shapely

    for hull in shapely.convex_hull(shapely.polygons(boxes)):
        if hull.geom_type != "Polygon":
            continue
        left, top, right, bottom = hull.bounds
        rows = slice(max(int(top) - BAND, 0), min(int(np.ceil(bottom)) + BAND, height))
        columns = slice(max(int(left) - BAND, 0), min(int(np.ceil(right)) + BAND, width))
        corners = shapely.get_coordinates(hull.exterior)
        if not hull.exterior.is_ccw:
            corners = corners[::-1]
        distance = _outside(corners, rows, columns)
        yield _Window(rows, columns, distance <= 0, (distance > 0) & (distance < BAND))


def _outside(corners: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Return how far pixels lie beyond the edges of a convex polygon: float64 [rows, columns], 0 or less inside.

    Args:
        corners: [m + 1, 2], counterclockwise as shapely counts, the first one again at the end.
        rows: of the pixels.
        columns: of the pixels.
    """
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5
    x = np.arange(columns.start, columns.stop)[None] + 0.5
    farthest = np.full((y.shape[0], x.shape[1]), -np.inf)
    for (x0, y0), (x1, y1) in pairwise(corners):
        beyond = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / np.hypot(x1 - x0, y1 - y0)
        np.maximum(farthest, beyond, out=farthest)
    return farthest


def _average(colors: np.ndarray) -> np.ndarray:
    """Return the average of colors, uint8 [k, 3]: uint8 [3], rounded."""
    average: np.ndarray = np.rint(colors.mean(axis=0)).astype(np.uint8)
    return average
