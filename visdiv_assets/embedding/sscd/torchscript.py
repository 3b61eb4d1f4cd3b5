"""SSCD disc_mixup as published, in TorchScript, on a GPU or the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.devices import torch_device
from visdiv_assets.embedding.torch_embedder import TorchEmbedder
from visdiv_assets.embedding.weights import file_sha256
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.resize import PREPROCESSING

if TYPE_CHECKING:
    from torch import Tensor

#: Normalization of ImageNet, which SSCD was trained with (facebookresearch/sscd-copy-detection, README).
MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)


class TorchSscd(TorchEmbedder):
    """A TorchScript module that maps normalized float32 [n, 3, 320, 320] to [n, dimension].

    On CUDA it runs in half precision, except for the pooling, which takes third powers, and the norm, which autocast
    keeps in float32. On the CPU it runs in float32.
    """

    def __init__(self, weights: Path, device: str, batch_size: int = 0) -> None:
        """Load the module onto a device ("cpu", "cuda", "cuda:1").

        Raises:
            ConfigError: torch is not installed.
            ModelError: the file is not a TorchScript module, or the device cannot be used.
        """
        found = torch_device(device)
        import torch

        super().__init__(found, batch_size or (64 if found.type == "cuda" else 4))
        try:
            self._model = torch.jit.load(str(weights), map_location=found)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ModelError(f"{weights} is not a TorchScript module: {str(error).splitlines()[0]}") from None
        self._model.eval()
        if self._cuda:
            # The layout of the input, and the one in which half-precision convolutions are fast.
            self._model.to(memory_format=torch.channels_last)
        self._mean = torch.tensor(MEAN, device=found).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(STANDARD_DEVIATION, device=found).view(1, 3, 1, 1)
        self.model_id = f"sscd_disc_mixup@{file_sha256(weights)[:12]}/{PREPROCESSING}"
        self.runs_in_threads = False
        self.dimension = self.run(np.zeros((1, 320, 320, 3), np.uint8)).shape[1]

    def _features(self, batch: Tensor) -> Tensor:
        with self._torch.autocast("cuda", self._torch.float16, enabled=self._cuda):
            pixels = batch.permute(0, 3, 1, 2).float() / 255.0
            vectors: Tensor = self._model((pixels - self._mean) * self._scale).float()
        return vectors
