"""What every embedder offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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
        device: where it runs: "cpu", "cuda:0".
        batch_size: pictures per call that suit it.
        runs_in_threads: whether several threads should call `run` at once (a CPU model that uses one core per call), or
            one thread alone (a GPU, which is fed by the threads that decode).
        in_flight: batches that may still be computed when the next one is started; 0 if `start` computes at once.
    """

    model_id: str
    dimension: int
    device: str
    batch_size: int
    runs_in_threads: bool
    in_flight: int = 0

    def preprocess(self, image: Image) -> np.ndarray:
        """An RGB picture as the model's input: uint8 [320, 320, 3]."""
        return skew_320(image)

    def stack(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Lay preprocessed pictures, at least one, into memory that the model reads: uint8 [n, 320, 320, 3]."""
        return np.stack(pictures)

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin with what `run` does; the function that is returned waits for the result and gives it."""
        vectors = self.run(pixels)
        return lambda: vectors

    @abstractmethod
    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed pictures: uint8 [n, 320, 320, 3] -> float32 [n, dimension], unit length."""

    def embed(self, images: Sequence[Image]) -> np.ndarray:
        """Embed RGB pictures of any size: float32 [n, dimension], unit length. Empty input gives [0, dimension]."""
        batches = [
            self.run(self.stack([self.preprocess(image) for image in images[start : start + self.batch_size]]))
            for start in range(0, len(images), self.batch_size)
        ]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *batches])


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to unit length, float32 [n, d]; models end in a normalisation, but half precision blurs it."""
    vectors = vectors.astype(np.float32, copy=False)
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
