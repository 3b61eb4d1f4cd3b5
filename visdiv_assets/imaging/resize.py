"""The resize of an image before a model embeds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: The part of a model_id that names this preprocessing.
PREPROCESSING = "skew_320"
SIDE = 320


def skew_320(image: Image) -> NDArray[np.uint8]:
    """Resize to 320 x 320 pixels, ignoring the aspect ratio, bilinear with antialiasing, as FineVision does.

    Args:
        image: an image of mode RGB and any size.

    Returns:
        uint8 [320, 320, 3], C-contiguous and writable.

    Raises:
        ValueError: the image is not RGB.
    """
    from PIL.Image import Resampling

    if image.mode != "RGB":
        raise ValueError(f"skew_320 takes images of mode RGB, not {image.mode}")
    # np.array copies, so that the result is writable; torch warns about read-only arrays.
    return np.array(image.resize((SIDE, SIDE), Resampling.BILINEAR), dtype=np.uint8, order="C")
