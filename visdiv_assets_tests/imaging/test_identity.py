from __future__ import annotations

import hashlib

from visdiv_assets.imaging.identity import image_id


def test_it_is_the_first_half_of_the_sha256() -> None:
    assert image_id(b"") == "e3b0c44298fc1c149afbf4c8996fb924"
    assert image_id(b"image") == hashlib.sha256(b"image").hexdigest()[:32]
