"""The identity of an image: a digest of its encoded bytes."""

from __future__ import annotations

import hashlib

from visdiv_assets.errors import ModelError


def image_id(data: bytes) -> str:
    """Return the identity of an image, a digest of its encoded bytes.

    Args:
        data: the encoded image, which may be unreadable or empty.

    Returns:
        The first 16 bytes of the SHA-256 of `data` as 32 lowercase hex characters.

    Example:
        >>> from visdiv_assets import image_id
        >>> image_id(b"the bytes of a file")
        '0f599b9451f725bfe1eb79476b364173'
    """
    return hashlib.sha256(data).digest()[:16].hex()


def image_changed(image_id: str) -> ModelError:
    """Return the error for an image that differs from the one that was listed."""
    return ModelError(f"image {image_id} has changed since subset_images was made: materialize it again")


def unchanged(listed: str, data: bytes | None) -> bytes:
    """Return the bytes of a listed image.

    Args:
        listed: its image_id.
        data: what the source has in its position now.

    Raises:
        ModelError: the image is not there any more, or is another one.
    """
    if data is None or image_id(data) != listed:
        raise image_changed(listed)
    return data
