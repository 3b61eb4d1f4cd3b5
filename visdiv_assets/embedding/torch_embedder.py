"""The base of embedders in torch: page-locked memory, batches in flight, and smaller batches if memory is short."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.embedding.interface import Embedder, unit_length
from visdiv_assets.errors import ModelError
from visdiv_assets.extras import check_extra

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

#: Texts in torch's errors, on CUDA and on the CPU.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


class TorchEmbedder(Embedder):
    """An embedder with a torch model. Subclasses define `_features` and set the attributes of `Embedder`.

    On CUDA it reads from page-locked memory and runs asynchronously.
    """

    def __init__(self, device: torch.device, batch_size: int) -> None:
        """Set what depends only on the device.

        Raises:
            ConfigError: torch is not installed.
        """
        check_extra("torch", "gpu")
        import torch

        self._torch = torch
        self._device = device
        self._cuda = device.type == "cuda"
        self.device = str(device)
        self.batch_size = batch_size
        self.in_flight = 1 if self._cuda else 0
        self._max_batch = batch_size

    @abstractmethod
    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        """Compute features of images on the device: uint8 [n, height, width, 3] -> float32 [n, dimension]."""

    def stack(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Stack preprocessed images, on CUDA into page-locked memory that the GPU can read itself: uint8 [n, ...]."""
        if not self._cuda:
            return super().stack(images)
        shape = (len(images), *images[0].shape)
        pinned: np.ndarray = self._torch.empty(shape, dtype=self._torch.uint8, pin_memory=True).numpy()
        return np.stack(images, out=pinned)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed images: uint8 [n, height, width, 3] -> float32 [n, dimension]; see `Embedder.run`."""
        return self.start(pixels)()

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Start embedding, and return a function that waits for the result and returns it.

        A batch that does not fit into the device's memory is halved, and so are all later ones.

        Raises:
            ModelError: not even one image fits.
        """
        parts: list[Callable[[], np.ndarray]] = []
        first = 0
        while first < len(pixels):
            part = pixels[first : first + self._max_batch]
            launched = self._launch_if_it_fits(part)
            if launched is not None:
                parts.append(launched)
                first += len(part)
            elif len(part) == 1:
                raise ModelError(f"the device {self.device} does not have enough free memory for one image")
            else:
                self._max_batch = len(part) // 2
                logger.warning("%s is out of memory: continuing with %d images per batch", self.device, self._max_batch)
                if self._cuda:
                    self._torch.cuda.empty_cache()

        def finish() -> np.ndarray:
            features = np.concatenate([part() for part in parts])
            return features if self.keeps_norms else unit_length(features)

        return finish

    def _launch_if_it_fits(self, pixels: np.ndarray) -> Callable[[], np.ndarray] | None:
        # A separate function, since the error keeps allocated memory alive while it is handled.
        try:
            return self._launch(pixels)
        except RuntimeError as error:
            # TorchScript turns torch.OutOfMemoryError into a plain RuntimeError that quotes it.
            if not any(words in str(error) for words in OUT_OF_MEMORY):
                raise
            return None

    def _launch(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        torch = self._torch
        with torch.inference_mode():
            vectors = self._features(torch.from_numpy(pixels).to(self._device, non_blocking=True))
        if not self._cuda:
            return vectors.numpy
        result = torch.empty(vectors.shape, pin_memory=True)
        result.copy_(vectors, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self._device))

        def wait(_held: np.ndarray = pixels) -> np.ndarray:
            # The default argument keeps the pixels alive until the device has read them.
            done.synchronize()
            fetched: np.ndarray = result.numpy()
            return fetched

        return wait


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit each call of torch on the CPU to one core while the block runs, since several threads call it at once."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
