"""CLIPPINGS: one vector for an image with its text, so that near-duplicate samples are found, not images alone.

Source: Arora and Dell 2023, "Linking Representations with Multimodal Contrastive Learning", arXiv 2304.03464. The paper
trains the two encoders for this first; here stored CLIP vectors are pooled as they are.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.selection.cross_covariance import check_pairs
from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import unit


class PooledPairs:
    """normalize(v + t) of unit vectors v of images and t of texts, row by row, read on demand.

    A `search.matrix.Matrix`: `search.join.self_join` finds near-duplicate samples in it.

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
            raise InputError(f"images of {images.shape[1]} dimensions and texts of {texts.shape[1]}: two models")
        self._images, self._texts = images, texts
        self.shape: tuple[int, ...] = (images.shape[0], images.shape[1])

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Rows by slice or by number, float32; zeros where an image and its text are exactly opposite.

        Raises:
            InputError: a row is not finite or all zero.
        """
        numbers = key.indices(self.shape[0])[0] if isinstance(key, slice) else key
        pooled: np.ndarray = unit(self._images[key], numbers) + unit(self._texts[key], numbers)
        length = np.linalg.norm(pooled, axis=1, keepdims=True)
        np.divide(pooled, length, out=pooled, where=length > 0)
        return pooled


def nearest_earlier(rows: int, pairs: pa.Table) -> np.ndarray:
    """Score of each of n samples: its highest similarity to one of a lower row number, 0 if there is none.

    Args:
        rows: n.
        pairs: left, right, similarity with left < right, as `search.join.self_join` gives them.

    Returns:
        float32 [n]; high: a duplicate of a sample before it.
    """
    best = np.zeros(rows, np.float32)
    np.maximum.at(best, pairs["right"].to_numpy(), pairs["similarity"].to_numpy())
    return best
