"""The cross-covariance of images and their texts, which ClipCov selects a subset to preserve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.vectors.matrix import Matrix
from visdiv_assets.vectors.unit_rows import BLOCK, unit


@dataclass(frozen=True, eq=False)
class CrossCovariance:
    """Sum of v t^T over pairs of an image vector v and a text vector t; the sums of several sets can be added.

    Attributes:
        n: number of pairs.
        total: float64 [d, e].
    """

    n: int
    total: np.ndarray

    @classmethod
    def of(cls, images: Matrix, texts: Matrix) -> CrossCovariance:
        """Sum over pairs of row i of both matrices, each row scaled to length 1.

        Raises:
            InputError: the numbers of texts and images differ, or a row is not finite or all zero.
        """
        check_pairs(images, texts)
        total = np.zeros((images.shape[1], texts.shape[1]))
        for start in range(0, images.shape[0], BLOCK):
            v, t = (unit(side[start : start + BLOCK], start) for side in (images, texts))
            total += v.T @ t
        return cls(images.shape[0], total)

    def __add__(self, other: CrossCovariance) -> CrossCovariance:
        return CrossCovariance(self.n + other.n, self.total + other.total)

    @property
    def mean(self) -> np.ndarray:
        """Mean C of v t^T, float64 [d, e]; its trace is the mean cosine of an image and its text.

        Raises:
            InputError: there is no pair.
        """
        if not self.n:
            raise InputError("the cross-covariance of no pairs is undefined: give at least one image with a text")
        return self.total / self.n

    def kept_by(self, part: CrossCovariance) -> float:
        """Return how much of C a subset's C' preserves: 1 - |C - C'|_F / |C|_F; 1 for all of it, 0 or less for none."""
        return 1 - float(np.linalg.norm(self.mean - part.mean) / np.linalg.norm(self.mean))


def check_pairs(images: Matrix, texts: Matrix) -> None:
    """Check that there is one text per image.

    Raises:
        InputError: their numbers differ.
    """
    if images.shape[0] != texts.shape[0]:
        raise InputError(
            f"{images.shape[0]} images and {texts.shape[0]} texts are not pairs: give one text vector per image, in "
            "the same order"
        )
