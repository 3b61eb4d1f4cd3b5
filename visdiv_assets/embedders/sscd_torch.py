"""SSCD disc_mixup as published: TorchScript, on a GPU or the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.embedders.interface import Embedder, unit_length
from visdiv_assets.embedders.weights import file_sha256
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.resize import PREPROCESSING

#: Of ImageNet, as SSCD was trained with (facebookresearch/sscd-copy-detection, README).
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


class TorchSscd(Embedder):
    """A TorchScript module that maps normalised float32 [n, 3, 320, 320] to [n, dimension]."""

    def __init__(self, weights: Path, device: str, batch_size: int = 0) -> None:
        """Load the module onto a device ("cpu", "cuda", "cuda:1").

        Raises:
            VisdivError: the file is not a TorchScript module, or there is no such device.
        """
        import torch

        self._torch = torch
        self._device = torch_device(device)
        try:
            self._model = torch.jit.load(str(weights), map_location=self._device).eval()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise VisdivError(f"{weights} is not a TorchScript module: {str(error).splitlines()[0]}") from None
        self._mean = torch.tensor(MEAN, device=self._device).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(STANDARD_DEVIATION, device=self._device).view(1, 3, 1, 1)
        self.model_id = f"sscd_disc_mixup@{file_sha256(weights)[:12]}/{PREPROCESSING}"
        self.device = str(self._device)
        self.batch_size = batch_size or (64 if self._device.type == "cuda" else 4)
        self.runs_in_threads = False
        self.dimension = self.run(np.zeros((1, 320, 320, 3), np.uint8)).shape[1]

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Embed preprocessed pictures: uint8 [n, 320, 320, 3] -> float32 [n, dimension], unit length."""
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float() / 255.0
            vectors = self._model((batch - self._mean) * self._scale)
        return unit_length(vectors.float().cpu().numpy())
