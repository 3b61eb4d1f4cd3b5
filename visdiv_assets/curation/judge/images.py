"""Images as a judge gets them: small enough, encoded again from their pixels."""

from __future__ import annotations

import base64
import io

from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.resize import reduce_to

#: Longest side in pixels of an image that is sent, and its quality as JPEG. Smaller images are not enlarged.
MAX_SIDE, QUALITY = 1024, 90

#: Maximum images of a row whose turns are rated from images.
MAX_IMAGES = 8


def data_url(data: bytes, limits: DecodeLimits) -> str | None:
    """Return an image as a data URL of a JPEG without metadata; None if it cannot be decoded.

    Args:
        data: the encoded image; its own bytes are not sent.
        limits: of what is decoded.
    """
    image = decode_image(data, limits=limits).pixels
    if image is None:
        return None
    stream = io.BytesIO()
    reduce_to(image, MAX_SIDE).save(stream, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
