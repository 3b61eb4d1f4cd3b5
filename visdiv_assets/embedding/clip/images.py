"""The image tower of CLIP as an embedder."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.embedding.clip.preprocessing import read_image_preparation
from visdiv_assets.embedding.torch_embedder import TorchEmbedder, one_torch_thread

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

#: Default images per call. A CPU works on several batches at once, one per core.
CPU_BATCH, CUDA_BATCH = 8, 128


class ClipImages(TorchEmbedder):
    """Embeds images with CLIP, and keeps the lengths of its features.

    On the CPU several threads call the model at once, one core each. Cores then need not wait for each other within a
    layer, and each thread embeds the images that it has just decoded while they are in its cache.
    """

    keeps_norms = True

    def __init__(self, model: ClipModel, way: str, batch_size: int = 0) -> None:
        """Prepare a model for images.

        Args:
            model: the checkpoint's model on its device.
            way: crop, pad or squash; see `preprocessing`.
            batch_size: images per call; 0 for a default that depends on the device.

        Raises:
            ModelError: the checkpoint has no image tower, or does not define the preprocessing of images.
        """
        import torch

        model.require_images()
        cuda = model.device.type == "cuda"
        super().__init__(model.device, batch_size or (CUDA_BATCH if cuda else CPU_BATCH))
        self._model = model
        self._preparation = preparation = read_image_preparation(model.checkpoint, way)
        self._mean = torch.tensor(preparation.mean, device=model.device).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(preparation.deviation, device=model.device).view(1, 3, 1, 1)
        self.model_id = f"{model.checkpoint.weights_id}/{preparation.name}"
        self.runs_in_threads = not cuda
        blank = np.zeros((1, preparation.height, preparation.width, 3), np.uint8)
        self.dimension = self.run(blank).shape[1]

    def working(self) -> AbstractContextManager[None]:
        """Return a context that limits each call on the CPU to one core, since several threads call the model."""
        return nullcontext() if self._cuda else one_torch_thread()

    def preprocess(self, image: Image) -> np.ndarray:
        """Resize an RGB image to the model's input: uint8 [height, width, 3]."""
        return self._preparation.prepare(image)

    def _features(self, batch: Tensor) -> Tensor:
        pixels = batch.permute(0, 3, 1, 2).float() / 255.0
        return self._model.image_features((pixels - self._mean) * self._scale)
