"""Images as FineVision's authors decoded them, which other tools that call `convert("RGB")` do as well."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from visdiv_assets.imaging.color_modes import Rendered

if TYPE_CHECKING:
    from PIL.Image import Image

_lock = threading.Lock()
_padding = 0
_before = False


def render_published(data: bytes, image: Image | None) -> Rendered:
    """Load an image and convert it to RGB as Pillow does: no transparency, no scaling of deep pixels.

    - The colors under transparent pixels are shown, often black.
    - Gray of 16 bits and floats are cut off at white, or lose their lower byte, as the version of Pillow does it.
    - What a truncated file lacks is padded, usually with gray, if Pillow can read its beginning. This needs a block of
      `padding_truncated`, in which the image is opened, too.

    Args:
        data: the encoded image.
        image: the opened image, not loaded; None: it is opened here, in any format that Pillow reads.

    Raises:
        Exception: of any type that Pillow raises if it cannot read the image.
    """
    from PIL.Image import open as open_image

    opened = image if image is not None else open_image(io.BytesIO(data))
    opened.load()
    pixels = opened.convert("RGB")
    pixels.info = {}
    return Rendered(pixels)


@contextmanager
def padding_truncated() -> Iterator[None]:
    """Let Pillow pad truncated images while any thread is in such a block; the flag is one of the whole process."""
    from PIL import ImageFile

    global _padding, _before
    with _lock:
        if _padding == 0:
            _before = ImageFile.LOAD_TRUNCATED_IMAGES
            ImageFile.LOAD_TRUNCATED_IMAGES = True
        _padding += 1
    try:
        yield
    finally:
        with _lock:
            _padding -= 1
            if _padding == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _before
