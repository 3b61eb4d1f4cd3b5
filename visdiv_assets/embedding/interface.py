"""The interface of embedders, and scaling of vectors to unit length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.imaging.resize import skew_320

if TYPE_CHECKING:
    from PIL.Image import Image


class Embedder(ABC):
    """A model with its weights and preprocessing, ready to run.

    Attributes:
        model_id: names model, weights and preprocessing; vectors of two model_ids are never compared.
        dimension: length of a vector.
        device: the device that it runs on, such as "cpu" or "cuda:0".
        batch_size: images per call.
        runs_in_threads: whether several threads should call `run` at once (a CPU model that uses one core per call), or
            only one thread (a GPU, which the decoding threads feed).
        in_flight: number of batches that may still be running when the next one starts; 0 if `start` computes at once.
        keeps_norms: whether `run` returns features as the model computes them, so that their lengths can be stored
            beside the unit vectors; else it returns unit vectors.
    """

    model_id: str
    dimension: int
    device: str
    batch_size: int
    runs_in_threads: bool
    in_flight: int = 0
    keeps_norms: bool = False

    def working(self) -> AbstractContextManager[None]:
        """Return a context in which a stream calls `run` or `start`, perhaps from several threads; empty by default."""
        return nullcontext()

    def preprocess(self, image: Image) -> np.ndarray:
        """Resize an RGB image to the model's input: uint8 [height, width, 3]; by default [320, 320, 3]."""
        return skew_320(image)

    def stack(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Stack one or more preprocessed images into memory that the model reads: uint8 [n, height, width, 3]."""
        return np.stack(images)

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Start embedding as `run` does, and return a function that waits for the result and returns it."""
        vectors = self.run(pixels)
        return lambda: vectors

    @abstractmethod
    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed images: uint8 [n, height, width, 3] -> float32 [n, dimension].

        The vectors have unit length, except if `keeps_norms` is set.
        """

    def embed(self, images: Sequence[Image]) -> np.ndarray:
        """Embed RGB images of any size: float32 [n, dimension], unit length. No images give [0, dimension]."""
        batches = [
            self.run(self.stack([self.preprocess(image) for image in images[start : start + self.batch_size]]))
            for start in range(0, len(images), self.batch_size)
        ]
        vectors = np.concatenate([np.empty((0, self.dimension), np.float32), *batches])
        return unit_length(vectors) if self.keeps_norms else vectors


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to unit length, float32 [n, d]; a model's own normalization is not exact in half precision."""
    return unit_length_and_norms(vectors)[0]


def unit_length_and_norms(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale rows to unit length: return float32 [n, d] and the lengths before scaling, float32 [n]."""
    vectors = vectors.astype(np.float32, copy=False)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(norms, 1e-12)
    return scaled, norms[:, 0]
