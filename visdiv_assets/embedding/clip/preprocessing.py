"""Images brought to the size that a CLIP takes, as its own processor says.

A CLIP sees a square in the middle of an image. That loses the margins of charts, documents and anything wide, so the
whole image can be had instead: padded to a square, or squashed into it, neither of which the model was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from visdiv_assets.embedding.clip.checkpoints import IMAGE_FILES, Checkpoint
from visdiv_assets.embedding.clip.model import first_line, quiet
from visdiv_assets.errors import ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

CROP, PAD, SQUASH = "crop", "pad", "squash"


@dataclass(frozen=True)
class ImagePreparation:
    """How an image becomes the model's input, but for the normalization.

    Attributes:
        way: crop (the middle), pad (the whole, with margins of the mean color) or squash (the whole, distorted).
        height: of the input, in pixels.
        width: likewise.
        shortest: the side to which an image's shorter one is brought before it is cropped.
        resample: Pillow's number of the filter.
        mean: of the normalization, for values from 0 to 1.
        deviation: likewise.
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
        """The part of a model_id that names the preprocessing: crop_224, squash_384x224."""
        return f"{self.way}_{self.height}" + ("" if self.height == self.width else f"x{self.width}")

    def prepare(self, image: Image) -> np.ndarray:
        """An RGB image of any size as the model's input: uint8 [height, width, 3]."""
        from PIL.Image import Resampling

        resample = Resampling(self.resample)
        if self.way == CROP:
            return self._cropped(image, resample)
        if self.way == PAD:
            return self._padded(image, resample)
        return np.array(image.resize((self.width, self.height), resample))

    def _cropped(self, image: Image, resample: Any) -> np.ndarray:
        """The middle of the resized image, to the bit as transformers has it.

        Pillow can resize a part alone, which spares the pixels beside it, but counts its edges in float32: the result
        would differ by a gray level here and there.
        """
        width, height = image.size
        # As transformers rounds: the longer side down.
        resized = (
            (self.shortest, int(self.shortest * height / width))
            if width <= height
            else (int(self.shortest * width / height), self.shortest)
        )
        left, top = (resized[0] - self.width) // 2, (resized[1] - self.height) // 2
        # Outside of an image that is too small Pillow's crop is black, as transformers'.
        smaller = image.resize(resized, resample)
        return np.array(smaller.crop((left, top, left + self.width, top + self.height)))

    def _padded(self, image: Image, resample: Any) -> np.ndarray:
        width, height = image.size
        scale = min(self.width / width, self.height / height)
        inner = (min(max(round(width * scale), 1), self.width), min(max(round(height * scale), 1), self.height))
        canvas = np.empty((self.height, self.width, 3), np.uint8)
        canvas[:] = np.round(np.array(self.mean) * 255)
        left, top = (self.width - inner[0]) // 2, (self.height - inner[1]) // 2
        canvas[top : top + inner[1], left : left + inner[0]] = np.array(image.resize(inner, resample))
        return canvas


def image_preparation(checkpoint: Checkpoint, way: str) -> ImagePreparation:
    """How a checkpoint's images are prepared.

    Args:
        checkpoint: whose processor says the size, the filter and the normalization.
        way: crop, pad or squash; crop is what the checkpoint's processor does, so a SigLIP, which is trained with
            squashed images, gets them squashed.

    Raises:
        ModelError: the checkpoint has no processor of images, or one that gives no fixed size.
    """
    from transformers import AutoImageProcessor

    checkpoint.require(IMAGE_FILES)
    try:
        with quiet():
            processor: Any = AutoImageProcessor
            said = processor.from_pretrained(checkpoint.folder, local_files_only=True).to_dict()
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(
            f"{checkpoint.folder}: the processor of images cannot be read ({first_line(error)}): fetch it again"
        ) from None
    try:
        return _preparation(said, way)
    except (KeyError, TypeError, ValueError):
        raise ModelError(
            f"{checkpoint.name} does not bring its images to one size by a resize and a crop: use another checkpoint"
        ) from None


def _preparation(said: Mapping[str, Any], way: str) -> ImagePreparation:
    if not all(said.get(step) for step in ("do_resize", "do_rescale", "do_normalize")):
        raise ValueError("a step is missing")
    crops = bool(said.get("do_center_crop"))
    size = said["size"]
    shortest = size if isinstance(size, int) else size.get("shortest_edge")
    target = said["crop_size"] if crops else size
    height, width = (target, target) if isinstance(target, int) else (target["height"], target["width"])
    if not crops:
        way = SQUASH if way == CROP else way
    elif shortest is None:
        raise ValueError("it squashes before it crops")
    return ImagePreparation(
        way=way,
        height=int(height),
        width=int(width),
        shortest=int(shortest or height),
        resample=int(said["resample"]),
        mean=_three(said["image_mean"]),
        deviation=_three(said["image_std"]),
    )


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
