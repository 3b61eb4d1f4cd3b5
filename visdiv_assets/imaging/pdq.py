"""PDQ: 256 bits of what an image looks like from afar, which blur, resizing and compression hardly change.

Source: Meta's ThreatExchange, "PDQ and TMK + PDQF" (2019), through the package pdqhash. A copy's hash differs from the
original's in 31 bits at most, as a rule; those of unrelated images in about 128.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = 256
#: As it is, turned by quarters, and mirrored; in pdqhash's order, the first is the image as it is.
ORIENTATIONS = 8
#: Of the 100 that PDQ gives at most: below, an image has too few gradients, and its hash is one of chance.
MIN_QUALITY = 50
#: PDQ looks at so many averages a side. Averages of equal areas, made here, change less when an image is made smaller
#: than those of PDQ's own filters, and take a tenth of the time.
SIDE = 64


def fingerprints(image: Image) -> bytes | None:
    """The PDQ hashes of an RGB image in 8 orientations, 32 bytes each, together 256.

    Returns:
        None if there is too little in the image for a hash to tell anything.
    """
    import pdqhash
    from PIL.Image import Resampling

    small = image.resize((SIDE, SIDE), Resampling.BOX, reducing_gap=2.0)
    hashes, quality = pdqhash.compute_dihedral(np.asarray(small))
    return np.packbits(np.array(hashes, np.uint8), axis=1).tobytes() if quality >= MIN_QUALITY else None
