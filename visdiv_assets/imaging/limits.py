"""How images are decoded: limits on their size, which protect a machine, and the conversion to RGB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: Default maximum of pixels in an image.
MAX_PIXELS = 64_000_000
#: Default maximum of bytes in an encoded image; images of datasets are far smaller.
MAX_IMAGE_BYTES = 100_000_000


#: How an image becomes RGB: `shown` as viewers show it, or `finevision`, as FineVision's authors decoded it.
Decoding = Literal["shown", "finevision"]


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Maximum size of an image, and how it becomes RGB; a larger one gets the status `too_large` and is not decoded.

    Attributes:
        max_pixels: maximum of width times height.
        max_bytes: maximum size of the encoded image in bytes.
        decoding: the conversion to RGB; see `decode.decode_image`.
    """

    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_IMAGE_BYTES
    decoding: Decoding = "shown"

    def settings(self) -> dict[str, Any]:
        """Return the limits as settings of a partition; the default conversion is left out, as in earlier versions."""
        return {"max_pixels": self.max_pixels, "max_bytes": self.max_bytes, **decoding_settings(self.decoding)}


def decoding_settings(decoding: Decoding) -> dict[str, Any]:
    """Return what is added to the settings of everything that is made from pixels; nothing by default."""
    return {} if decoding == "shown" else {"decoding": decoding}


def has_decoding(settings: Mapping[str, Any], decoding: Decoding) -> bool:
    """Return whether a partition with some settings, `decoding_settings` among them, was made in a way of decoding."""
    return bool(settings.get("decoding", "shown") == decoding)


def decoded_model_id(model_id: str, decoding: Decoding) -> str:
    """Return the model_id of a model whose images are decoded in some way: other pixels make other vectors."""
    named = f"_{decoding}"
    return model_id if decoding == "shown" or model_id.endswith(named) else model_id + named


#: The limits that apply unless a caller passes others.
DEFAULT_LIMITS = DecodeLimits()
