"""CLIP's tower for images, as an embedder."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.embedding.clip.model import ClipModel
from visdiv_assets.embedding.clip.preprocessing import image_preparation
from visdiv_assets.embedding.torch_embedder import TorchEmbedder, one_torch_thread

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

#: Images per call where none is set. On a CPU it is the cores that work side by side, not the images of a batch.
CPU_BATCH, CUDA_BATCH = 8, 128


class ClipImages(TorchEmbedder):
    """Images to CLIP's features, whose lengths are kept.

    On the CPU several threads call the model at once, each on a core of its own. That needs no waiting for one another
    within a layer, and the thread that decoded an image goes on with it while it is in the cache.
    """

    keeps_norms = True

    def __init__(self, model: ClipModel, way: str, batch_size: int = 0) -> None:
        """Prepare.

        Args:
            model: the checkpoint's model on its device.
            way: crop, pad or squash; see `clip_pixels`.
            batch_size: images per call; 0 for what suits the device.

        Raises:
            ModelError: the checkpoint has no tower for images, or does not say how they are prepared.
        """
        import torch

        model.require_images()
        cuda = model.device.type == "cuda"
        super().__init__(model.device, batch_size or (CUDA_BATCH if cuda else CPU_BATCH))
        self._model = model
        self._preparation = preparation = image_preparation(model.checkpoint, way)
        self._mean = torch.tensor(preparation.mean, device=model.device).view(1, 3, 1, 1)
        self._scale = 1.0 / torch.tensor(preparation.deviation, device=model.device).view(1, 3, 1, 1)
        self.model_id = f"{model.checkpoint.weights_id}/{preparation.name}"
        self.runs_in_threads = not cuda
        blank = np.zeros((1, preparation.height, preparation.width, 3), np.uint8)
        self.dimension = self.run(blank).shape[1]

    def working(self) -> AbstractContextManager[None]:
        """One core for each call on the CPU, since several threads call the model."""
        return nullcontext() if self._cuda else one_torch_thread()

    def preprocess(self, image: Image) -> np.ndarray:
        """An RGB image as the model's input: uint8 [height, width, 3]."""
        return self._preparation.prepare(image)

    def _features(self, batch: Tensor) -> Tensor:
        pixels = batch.permute(0, 3, 1, 2).float() / 255.0
        return self._model.image_features((pixels - self._mean) * self._scale)
