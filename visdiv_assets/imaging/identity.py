"""The identity of an image: a digest of its encoded bytes."""

from __future__ import annotations

import hashlib


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
