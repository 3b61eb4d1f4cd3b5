"""A seeded sample of images by image_id, and a cut of it into units of work."""

from __future__ import annotations

import numpy as np

from visdiv_assets.texts.ngrams import FACTOR

#: Seed of the sample.
SEED = np.uint64(20260521)

#: Images of a unit: about a minute of work on one core.
UNIT_IMAGES = 32


def choose_images(image_ids: np.ndarray, count: int) -> np.ndarray:
    """Choose images by a hash of their image_ids, so that the same images are chosen whatever else a subset holds.

    Args:
        image_ids: S32 [n], each once.
        count: number of images to choose; 0: all.

    Returns:
        int64 [min(n, count)], indices of the chosen images in the order of the hash, so that a larger sample begins
        with a smaller one. All n, in their own order, if count is 0.
    """
    if not count or not len(image_ids):
        return np.arange(len(image_ids))
    digits = np.frombuffer(bytes.fromhex(b"".join(image_ids.tolist()).decode()), ">u8").astype(np.uint64)
    # Of the 16 bytes of an image_id, the last 8.
    ranks = (digits[1::2] ^ SEED) * FACTOR
    return np.argsort(ranks ^ (ranks >> np.uint64(32)), kind="stable")[:count]


def split_into_units(image_ids: list[str]) -> list[tuple[str, ...]]:
    """Cut images into units of work, in order."""
    return [tuple(image_ids[start : start + UNIT_IMAGES]) for start in range(0, len(image_ids), UNIT_IMAGES)]
