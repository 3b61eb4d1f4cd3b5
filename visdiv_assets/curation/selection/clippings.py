"""CLIPPINGS: one vector per pair of image and text, to find near-duplicate samples rather than near-duplicate images.

Source: Arora and Dell 2023, "Linking Representations with Multimodal Contrastive Learning", arXiv 2304.03464. The paper
fine-tunes the two encoders for this first; here stored CLIP vectors are pooled unchanged.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.selection.cross_covariance import check_pairs
from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import unit


class PooledPairs:
    """The matrix of normalize(v + t) for unit vectors v of images and t of texts, computed on demand.

    A `vectors.matrix.Matrix`: `vectors.join.self_join` finds near-duplicate samples in it.

    Attributes:
        shape: (pairs, dimension).
    """

    def __init__(self, images: Matrix, texts: Matrix) -> None:
        """Pool vectors [n, d] of images and of their texts.

        Raises:
            InputError: their numbers or dimensions differ.
        """
        check_pairs(images, texts)
        if images.shape[1] != texts.shape[1]:
            raise InputError(
                f"images have {images.shape[1]} dimensions and texts {texts.shape[1]}: embed both with the same model"
            )
        self._images, self._texts = images, texts
        self.shape: tuple[int, ...] = (images.shape[0], images.shape[1])

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Return rows by slice or by indices, float32; zeros where an image and its text are exactly opposite.

        Raises:
            InputError: a row is not finite or all zero.
        """
        indices = key.indices(self.shape[0])[0] if isinstance(key, slice) else key
        pooled: np.ndarray = unit(self._images[key], indices) + unit(self._texts[key], indices)
        length = np.linalg.norm(pooled, axis=1, keepdims=True)
        np.divide(pooled, length, out=pooled, where=length > 0)
        return pooled


def nearest_earlier(rows: int, pairs: pa.Table) -> np.ndarray:
    """Score each of n samples by its highest similarity to a sample with a lower row index, 0 if there is none.

    Args:
        rows: number n of samples.
        pairs: left, right, similarity with left < right, as returned by `vectors.join.self_join`.

    Returns:
        float32 [n]; a high score marks a duplicate of an earlier sample.
    """
    best = np.zeros(rows, np.float32)
    np.maximum.at(best, pairs["right"].to_numpy(), pairs["similarity"].to_numpy())
    return best
