"""Synthetic vectors with the mean and covariance of real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS_AT_A_TIME = 16_384


@dataclass(frozen=True)
class Shape:
    """A normal distribution of vectors.

    Attributes:
        mean: float32 [d].
        factor: float32 [d, d]; `factor.T @ factor` is the covariance.
    """

    mean: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, real: np.ndarray) -> Shape:
        """Fit the distribution to real vectors [n, d]."""
        # A small variance in every direction, as more images would have.
        covariance = np.cov(real.T) + 1e-6 * np.eye(real.shape[1])
        return cls(real.mean(axis=0).astype(np.float32), np.linalg.cholesky(covariance).T.astype(np.float32))

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Draw unit vectors, float32 [count, d]."""
        out = np.empty((count, len(self.mean)), np.float32)
        for start in range(0, count, ROWS_AT_A_TIME):
            rows = out[start : start + ROWS_AT_A_TIME]
            rows[:] = random.standard_normal(rows.shape, dtype=np.float32) @ self.factor + self.mean
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return out

    def draw_near(self, random: np.random.Generator, vectors: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """Draw a unit vector of a given similarity, float32 [n], to each of n unit vectors: float32 [n, d]."""
        moved = self.draw(random, len(vectors))
        moved -= np.einsum("nd,nd->n", moved, vectors)[:, None] * vectors
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        near: np.ndarray = similarity[:, None] * vectors + np.sqrt(1 - similarity[:, None] ** 2) * moved
        return near
