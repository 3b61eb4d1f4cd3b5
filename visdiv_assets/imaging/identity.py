"""The identity of an image: a digest of its encoded bytes."""

from __future__ import annotations

import hashlib


def image_id(data: bytes) -> str:
    """Return the identity of an image, a digest of its encoded bytes.

    Args:
        data: the encoded image, which may be unreadable or empty.

    Returns:
        The first 16 bytes of the SHA-256 of `data` as 32 lowercase hex characters.
    """
    return hashlib.sha256(data).digest()[:16].hex()
