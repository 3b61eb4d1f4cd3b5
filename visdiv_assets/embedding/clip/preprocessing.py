"""Resize images to the input of a CLIP model, as its own processor defines it.

A CLIP model sees a square in the middle of an image, which loses the margins of charts, documents and wide images.
Instead, the whole image can be padded to a square or squashed into one; the model was trained with neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.embedding.clip.checkpoints import IMAGE_FILES, Checkpoint
from visdiv_assets.embedding.clip.model import LOCAL_DATA, first_line, quiet
from visdiv_assets.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

CROP, PAD, SQUASH = "crop", "pad", "squash"


@dataclass(frozen=True)
class ImagePreparation:
    """The resizing of an image to the model's input, and the constants of its normalization.

    Attributes:
        way: crop (the middle), pad (the whole image, with margins of the mean color) or squash (the whole image,
            distorted).
        height: height of the input, in pixels.
        width: width of the input, in pixels.
        shortest: length to which an image's shorter side is resized before it is cropped.
        resample: Pillow's code of the filter.
        mean: mean of the normalization by channel, for values from 0 to 1.
        deviation: standard deviation of the normalization by channel.
    """

    way: str
    height: int
    width: int
    shortest: int
    resample: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @property
    def name(self) -> str:
        """The part of a model_id that names the preprocessing, such as crop_224 or squash_384x224."""
        return f"{self.way}_{self.height}" + ("" if self.height == self.width else f"x{self.width}")

    def prepare(self, image: Image) -> np.ndarray:
        """Resize an RGB image of any size: uint8 [height, width, 3]."""
        from PIL.Image import Resampling

        resample = Resampling(self.resample)
        if self.way == CROP:
            return self._crop(image, resample)
        if self.way == PAD:
            return self._pad(image, resample)
        return np.array(image.resize((self.width, self.height), resample))

    def _crop(self, image: Image, resample: Any) -> np.ndarray:
        """Crop the middle of the resized image, bit-equal to transformers.

        Pillow can resize only a part of an image, which would skip the other pixels, but it computes the part's edges
        in float32, so that some values would differ by a gray level.
        """
        width, height = image.size
        # transformers rounds the longer side down.
        resized = (
            (self.shortest, int(self.shortest * height / width))
            if width <= height
            else (int(self.shortest * width / height), self.shortest)
        )
        left, top = (resized[0] - self.width) // 2, (resized[1] - self.height) // 2
        # Outside an image that is too small, Pillow's crop is black, as in transformers.
        smaller = image.resize(resized, resample)
        return np.array(smaller.crop((left, top, left + self.width, top + self.height)))

    def _pad(self, image: Image, resample: Any) -> np.ndarray:
        width, height = image.size
        scale = min(self.width / width, self.height / height)
        inner = (min(max(round(width * scale), 1), self.width), min(max(round(height * scale), 1), self.height))
        canvas = np.empty((self.height, self.width, 3), np.uint8)
        canvas[:] = np.round(np.array(self.mean) * 255)
        left, top = (self.width - inner[0]) // 2, (self.height - inner[1]) // 2
        canvas[top : top + inner[1], left : left + inner[0]] = np.array(image.resize(inner, resample))
        return canvas


def read_image_preparation(checkpoint: Checkpoint, way: str) -> ImagePreparation:
    """Read a checkpoint's image preprocessing.

    Args:
        checkpoint: its image processor defines the size, the filter and the normalization.
        way: crop, pad or squash. `crop` means what the checkpoint's processor does; SigLIP is trained with squashed
            images, so that it gets squashed ones.

    Raises:
        ModelError: the checkpoint has no image processor, or one without a fixed output size.
    """
    from transformers import AutoImageProcessor

    checkpoint.require(IMAGE_FILES)
    try:
        with quiet():
            processor: Any = AutoImageProcessor
            options = processor.from_pretrained(checkpoint.folder, **LOCAL_DATA).to_dict()
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{checkpoint.folder}: the image processor cannot be read ({first_line(error)}): download it again"
        ) from None
    try:
        return _to_preparation(options, way)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{checkpoint.name} does not resize and crop its images to one size: use another checkpoint"
        ) from None


def _to_preparation(options: Mapping[str, Any], way: str) -> ImagePreparation:
    if not all(options.get(step) for step in ("do_resize", "do_rescale", "do_normalize")):
        raise ValueError("the processor skips a step")
    crops = bool(options.get("do_center_crop"))
    size = options["size"]
    shortest = size if isinstance(size, int) else size.get("shortest_edge")
    target = options["crop_size"] if crops else size
    height, width = (target, target) if isinstance(target, int) else (target["height"], target["width"])
    if not crops:
        way = SQUASH if way == CROP else way
    elif shortest is None:
        raise ValueError("the processor squashes before it crops")
    return ImagePreparation(
        way=way,
        height=int(height),
        width=int(width),
        shortest=int(shortest or height),
        resample=int(options["resample"]),
        mean=_to_channels(options["image_mean"]),
        deviation=_to_channels(options["image_std"]),
    )


def _to_channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
