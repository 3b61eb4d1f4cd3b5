"""Vectors of regions of an image, by which an image is found that is pasted into a larger one.

A vector of a whole image says little about a part of it: a screenshot that shows a photograph is not close to the
photograph. A region of about the size of the part is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.embedding.interface import Embedder

if TYPE_CHECKING:
    from PIL.Image import Image

#: Regions along each side: they begin at 0, 1/4 and 1/2 of the side, and are half of it long.
GRID = 3
#: Number of regions of an image.
REGIONS = GRID**2
#: Smallest number of pixels of an image that has regions; a smaller one shows no other image that could be recognized.
MIN_PIXELS = 128 * 128
#: Smallest standard deviation of the values of a color channel, 0 to 255, of a region that is not blank.
MIN_DEVIATION = 2.0
#: Only every such row and column of a region is looked at to find out whether it is blank.
STRIDE = 4

#: The part of a model_id that names the regions.
SUFFIX = f"regions_{GRID}x{GRID}"


def regions_model_id(model_id: str) -> str:
    """Return the model_id of the vectors of regions that are compared with those of whole images of a model."""
    return f"{model_id}/{SUFFIX}"


def region_boxes(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return the regions of an image, row by row, as left, upper, right and lower edges in pixels.

    Args:
        size: width and height of the image, at least 2 pixels each.
    """
    (lefts, rights), (uppers, lowers) = (_edges(side) for side in size)
    return [
        (left, upper, right, lower)
        for upper, lower in zip(uppers, lowers, strict=True)
        for left, right in zip(lefts, rights, strict=True)
    ]


def _edges(side: int) -> tuple[list[int], list[int]]:
    """Return where the regions begin and end along a side."""
    starts = [step * side // (2 * (GRID - 1)) for step in range(GRID)]
    return starts, [start + (side + 1) // 2 for start in starts]


class RegionEmbedder(Embedder):
    """Embeds the regions of images with the model of whole images.

    The vector of an image holds those of its `REGIONS` regions, one after the other: unit vectors, or zeros for a
    region without a vector. Blank regions have none, and neither have images of fewer than `MIN_PIXELS` pixels.
    """

    def __init__(self, model: Embedder) -> None:
        """Use a model that returns unit vectors."""
        self._model = model
        self.model_id = regions_model_id(model.model_id)
        self.dimension = REGIONS * model.dimension
        self.device = model.device
        self.batch_size = max(model.batch_size // REGIONS, 1)
        self.runs_in_threads = model.runs_in_threads
        self.in_flight = model.in_flight

    def working(self) -> AbstractContextManager[None]:
        """Return the context of the model."""
        return self._model.working()

    def preprocess(self, image: Image) -> np.ndarray:
        """Return the regions of an RGB image as inputs of the model: uint8 [regions, height, width, 3].

        A region without a vector is black.
        """
        has_regions = image.width * image.height >= MIN_PIXELS and min(image.size) > 1
        boxes = region_boxes(image.size) if has_regions else [(0, 0, 1, 1)] * REGIONS
        inputs = np.stack([self._model.preprocess(image.crop(box)) for box in boxes])
        seen = inputs[:, ::STRIDE, ::STRIDE].reshape(REGIONS, -1, 3)
        inputs[seen.std(axis=1).max(axis=1) < MIN_DEVIATION] = 0
        return inputs

    def stack(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Stack the regions of one or more images: uint8 [n * regions, height, width, 3]."""
        return self._model.stack([region for regions in images for region in regions])

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Start embedding all regions, and return a function that waits for the result and returns it."""
        wait, seen = self._model.start(pixels), _not_black(pixels)
        return lambda: self._gather(seen, wait()[seen])

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed the regions of images: uint8 [n * regions, height, width, 3] -> float32 [n, regions * dimension]."""
        seen = _not_black(pixels)
        none = np.empty((0, self._model.dimension), np.float32)
        return self._gather(seen, self._model.run(pixels[seen]) if seen.any() else none)

    def _gather(self, seen: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return the vectors of all regions of each image, from those of the regions that were seen, bool [r]."""
        gathered = np.zeros((len(seen), self._model.dimension), np.float32)
        gathered[seen] = vectors
        return gathered.reshape(-1, self.dimension)


def _not_black(pixels: np.ndarray) -> np.ndarray:
    """Return which images, uint8 [n, height, width, 3], are not black: bool [n]."""
    return np.array([image.any() for image in pixels], bool)
