"""Log-likelihood of raw CLIP features under a whitened Gaussian.

Source: Betser, Levi and Gilboa 2025, "Whitened CLIP as a Likelihood Surrogate of Images and Captions",
arXiv 2505.06934, rbetser/W_CLIP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix, as_float32
from visdiv_assets.vectors.unit_rows import BLOCK

#: Directions with less than this share of the mean variance are ignored. Rounding of the stored unit vectors to fp16
#: contributes about 1e-8 of it to every direction.
NEAR_NULL = 1e-6


class RawFeatures:
    """The model's features before normalization: stored unit vectors times their norms, computed on demand.

    Attributes:
        shape: (rows, dimension).
    """

    def __init__(self, vectors: Matrix, norms: np.ndarray) -> None:
        """Combine unit vectors [n, d] and norms [n].

        Raises:
            InputError: the numbers of norms and vectors differ.
        """
        if norms.shape != vectors.shape[:1]:
            raise InputError(
                f"there are {vectors.shape[0]} vectors and norms of shape {list(norms.shape)}: give one norm per vector"
            )
        self._vectors, self._norms = vectors, norms
        self.shape: tuple[int, ...] = (vectors.shape[0], vectors.shape[1])

    def __getitem__(self, key: slice | np.ndarray, /) -> np.ndarray:
        """Return rows by slice or by indices, float32."""
        features: np.ndarray = as_float32(self._vectors[key]) * self._norms[key, np.newaxis].astype(np.float32)
        return features


def raw_moments(features: Matrix, *, model_id: str = "") -> Moments:
    """Sum n, x and x x^T of raw features in float64; the moments of several subsets can be added.

    Raises:
        InputError: a row is not finite.
    """
    blocks = (features[start : start + BLOCK] for start in range(0, features.shape[0], BLOCK))
    return Moments.from_batches(blocks, dimension=features.shape[1], model_id=model_id, normalize=False)


@dataclass(frozen=True, eq=False)
class Whitening:
    """A whitening transform, w = (x - mean) W.

    Attributes:
        mean: float64 [d].
        matrix: float64 [d, k], W = V L^-1/2 of the covariance V L V^T, without near-null directions.
    """

    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def of(cls, moments: Moments) -> Whitening:
        """Return the transform to mean 0 and identity covariance for features with these moments.

        To keep the covariance invertible, the released code replaces one of two features whose correlation exceeds 0.9
        by noise; here directions with almost no variance are ignored instead.

        Raises:
            InputError: there are not more features than dimensions, or they do not vary.
        """
        if moments.n <= moments.dimension:
            raise InputError(
                f"whitening {moments.dimension} dimensions needs more than {moments.dimension} images or texts, "
                f"preferably ten times as many, but there are {moments.n}: combine more subsets"
            )
        values, directions = np.linalg.eigh(moments.covariance())
        # Rounding of the sums gives identical features a variance of up to this share of their squared length.
        rounding = 1e-12 * float(np.trace(moments.uncentered()))
        kept = values > max(NEAR_NULL * float(values.mean()), rounding)
        if not kept.any():
            raise InputError("whitening needs features that vary, but all features are identical: add other images")
        return cls(moments.sum_x / moments.n, directions[:, kept] / np.sqrt(values[kept]))


def log_likelihood(features: Matrix, whitening: Whitening) -> np.ndarray:
    """Compute the log-likelihood -(k ln(2 pi) + |w|^2) / 2 of each image or text, with w = (x - mean) W [k].

    A high value means typical of the data of the whitening, a low one an outlier. Use one whitening for images and
    another for texts.

    Args:
        features: raw features [n, d], such as `RawFeatures`; read in blocks.
        whitening: computed from moments of the same model.

    Returns:
        float32 [n].

    Raises:
        InputError: a row is not finite, or the whitening has another dimension.
    """
    dimension, kept = whitening.matrix.shape
    if features.shape[1] != dimension:
        raise InputError(
            f"features have {features.shape[1]} dimensions and the whitening {dimension}: use features of one model"
        )
    matrix = whitening.matrix.astype(np.float32)
    out = np.empty(features.shape[0], np.float32)
    for start in range(0, features.shape[0], BLOCK):
        # Centered in float64, since the mean of CLIP's features is far larger than their spread.
        w = (features[start : start + BLOCK] - whitening.mean).astype(np.float32) @ matrix
        squares = np.einsum("nk,nk->n", w, w)
        if not np.isfinite(squares).all():
            row = start + int(np.argmin(np.isfinite(squares)))
            raise InputError(f"feature {row} is not finite: embed its image or text again")
        out[start : start + len(w)] = -(kept * math.log(2 * math.pi) + squares) / 2
    return out
