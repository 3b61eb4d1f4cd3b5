"""SSCD disc_mixup as published: TorchScript, on a GPU or the CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.embedders.interface import Embedder, unit_length
from visdiv_assets.embedders.weights import file_sha256
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.resize import PREPROCESSING

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

#: Of ImageNet, as SSCD was trained with (facebookresearch/sscd-copy-detection, README).
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
#: What torch says on CUDA, and on the CPU.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


class TorchSscd(Embedder):
    """A TorchScript module that maps normalised float32 [n, 3, 320, 320] to [n, dimension].

    On CUDA it runs in half precision where that does no harm (autocast keeps the pooling, which takes third powers, and
    the norm in float32), from page-locked memory, and asynchronously. On the CPU it runs in float32.
    """

    def __init__(self, weights: Path, device: str, batch_size: int = 0) -> None:
        """Load the module onto a device ("cpu", "cuda", "cuda:1").

        Raises:
            VisdivError: the file is not a TorchScript module, or there is no such device.
        """
        import torch

        self._torch = torch
        self._device = torch_device(device)
        try:
            self._model = torch.jit.load(str(weights), map_location=self._device)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise VisdivError(f"{weights} is not a TorchScript module: {str(error).splitlines()[0]}") from None
        self._cuda = self._device.type == "cuda"
        self._model.eval()
        if self._cuda:
            # The layout in which pictures arrive, and the one that half-precision convolutions are fast in.
            self._model.to(memory_format=torch.channels_last)
        self._mean = torch.tensor(MEAN, device=self._device).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(STANDARD_DEVIATION, device=self._device).view(1, 3, 1, 1)
        self.model_id = f"sscd_disc_mixup@{file_sha256(weights)[:12]}/{PREPROCESSING}"
        self.device = str(self._device)
        self.batch_size = batch_size or (64 if self._cuda else 4)
        self.runs_in_threads = False
        self.in_flight = 1 if self._cuda else 0
        self._most = self.batch_size
        self.dimension = self.run(np.zeros((1, 320, 320, 3), np.uint8)).shape[1]

    def stack(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Lay preprocessed pictures into memory that a GPU can fetch by itself, page-locked: uint8 [n, 320, 320, 3]."""
        if not self._cuda:
            return super().stack(pictures)
        shape = (len(pictures), *pictures[0].shape)
        pinned: np.ndarray = self._torch.empty(shape, dtype=self._torch.uint8, pin_memory=True).numpy()
        return np.stack(pictures, out=pinned)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed pictures: uint8 [n, 320, 320, 3] -> float32 [n, dimension], unit length."""
        return self.start(pixels)()

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin with what `run` does; what does not fit into the device's memory is halved, and so is all that follows.

        Raises:
            VisdivError: not even one picture fits.
        """
        parts: list[Callable[[], np.ndarray]] = []
        place = 0
        while place < len(pixels):
            part = pixels[place : place + self._most]
            launched = self._launch_if_it_fits(part)
            if launched is not None:
                parts.append(launched)
                place += len(part)
            elif len(part) == 1:
                raise VisdivError(f"the device {self.device} has not enough free memory for one picture")
            else:
                self._most = len(part) // 2
                logger.warning("%s is out of memory: going on with %d pictures a batch", self.device, self._most)
                if self._cuda:
                    self._torch.cuda.empty_cache()
        return lambda: unit_length(np.concatenate([part() for part in parts]))

    def _launch_if_it_fits(self, pixels: np.ndarray) -> Callable[[], np.ndarray] | None:
        # In a function of its own, as the error holds on to what was allocated for as long as it is handled.
        try:
            return self._launch(pixels)
        except RuntimeError as error:
            # TorchScript passes torch.OutOfMemoryError on as a plain RuntimeError that quotes it.
            if not any(words in str(error) for words in OUT_OF_MEMORY):
                raise
            return None

    def _launch(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        torch = self._torch
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=self._cuda):
            batch = torch.from_numpy(pixels).to(self._device, non_blocking=True).permute(0, 3, 1, 2).float() / 255.0
            vectors: Tensor = self._model((batch - self._mean) * self._scale).float()
        if not self._cuda:
            return vectors.numpy
        result = torch.empty(vectors.shape, pin_memory=True)
        result.copy_(vectors, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self._device))

        def wait(_held: np.ndarray = pixels) -> np.ndarray:
            # The default holds the pixels, which the device may not have fetched yet, until it is done with them.
            done.synchronize()
            fetched: np.ndarray = result.numpy()
            return fetched

        return wait
