"""Synthetic vectors for measurements: they have the covariance of real SSCD vectors and contain planted copies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from visdiv_assets.embedding import load
from visdiv_assets.errors import SourceError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import image_bytes
from visdiv_assets.perf.embedding import batches_of, embed
from visdiv_assets.sources import Kind, Source
from visdiv_assets.threads import thread_count

#: Maximum number of images to embed for the covariance.
MAX_REAL_IMAGES = 1024
#: Minimum number of images for a covariance.
MIN_REAL_IMAGES = 64
MAX_PIXELS = 50_000_000
ROWS_AT_A_TIME = 65_536
#: One vector in `PLANTED` is a copy of an earlier one.
PLANTED = 50
#: Range of the length of the vector that is added to a copy; it gives cosines from about 0.998 down to 0.7.
CHANGE = (0.05, 1.0)
#: Effective rank of vectors with a flat spectrum, of which a projection to fewer dimensions leaves more in doubt.
FLAT_RANK = 220


def real_vectors(source: Source) -> np.ndarray:
    """Embed the first readable images of each subset of a source: float32 [n, 512], n <= `MAX_REAL_IMAGES`.

    Raises:
        SourceError: the source has fewer than `MIN_REAL_IMAGES` readable images.
    """
    subsets = source.subsets()
    each = -(-MAX_REAL_IMAGES // max(len(subsets), 1))
    encoded = [data for subset in subsets for data in islice(_read_images(source, subset), each)]
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    together = embed(lambda columns: batches_of(encoded), embedder, threads=thread_count(0)).astype(np.float32)
    if len(together) < MIN_REAL_IMAGES:
        raise SourceError(
            f"the source has only {len(together)} readable images, too few to estimate a covariance: use a source with "
            f"at least {MIN_REAL_IMAGES}"
        )
    return together


def _read_images(source: Source, subset: str) -> Iterator[bytes]:
    for shard in source.shards(Kind.SUBSET, subset):
        for batch in source.batches(Kind.SUBSET, subset, shard, columns=["images"]):
            for data in image_bytes(batch)[2]:
                image = data.as_py()
                if decode_image(image, limits=DecodeLimits(MAX_PIXELS), keep_pixels=False).status == "ok":
                    yield image


def write_vectors(path: Path, distribution: Distribution, count: int, *, dtype: str = "float16", seed: int = 0) -> None:
    """Write normally distributed unit vectors: float16, or another type, [count, d], .npy.

    Every `PLANTED`-th is a copy of one of the 65,536 before it, moved by a random vector of the same covariance, about
    as far as a common transformation of an image moves its vector.
    """
    random = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), (count, len(distribution.mean)))
    for start in range(0, count, ROWS_AT_A_TIME):
        rows = min(ROWS_AT_A_TIME, count - start)
        out[start : start + rows] = distribution.draw(random, rows)
    out.flush()


class Distribution(NamedTuple):
    """The normal distribution of vectors before they are scaled to unit length.

    Attributes:
        mean: [d].
        shape: float32 [d, d]; the covariance is its transpose times it.
    """

    mean: np.ndarray
    shape: np.ndarray

    @classmethod
    def of(cls, real: np.ndarray) -> Distribution:
        """Return the distribution with the mean and covariance of some vectors [n, d]."""
        # A small variance in every direction, as more images would have.
        covariance = np.cov(real.T) + 1e-6 * np.eye(real.shape[1])
        return cls(real.mean(axis=0), np.linalg.cholesky(covariance).T.astype(np.float32))

    @classmethod
    def with_rank(cls, rank: float, dimension: int = 512, *, seed: int = 0) -> Distribution:
        """Return a distribution around 0 whose variances, along random directions, fall by a power law.

        Args:
            rank: effective rank of the covariance, see `diversity.scores.effective_rank`; between 1 and `dimension`.
            dimension: number of dimensions.
            seed: of the directions.
        """

        def variances(exponent: float) -> np.ndarray:
            values = np.arange(1, dimension + 1) ** -exponent
            shares: np.ndarray = values / values.sum()
            return shares

        def excess(exponent: float) -> float:
            shares = variances(exponent)
            return math.exp(-float(shares @ np.log(shares))) - rank

        chosen = variances(float(brentq(excess, 0.0, 8.0)))
        rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))[0]
        shape = np.sqrt(chosen)[:, np.newaxis] * rotation
        return cls(np.zeros(dimension), shape.astype(np.float32))

    def draw(self, random: np.random.Generator, rows: int) -> np.ndarray:
        """Draw unit vectors [rows, d], with copies among them as `write_vectors` describes."""
        dimension = len(self.mean)
        x = random.standard_normal((rows, dimension), dtype=np.float32) @ self.shape + self.mean
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        copies = np.arange(PLANTED - 1, rows, PLANTED)
        if len(copies):
            moved = random.standard_normal((len(copies), dimension), dtype=np.float32) @ self.shape
            moved /= np.linalg.norm(moved, axis=1, keepdims=True)
            moved *= random.uniform(*CHANGE, (len(copies), 1)).astype(np.float32)
            x[copies] = x[(random.random(len(copies)) * copies).astype(np.int64)] + moved
            x /= np.linalg.norm(x, axis=1, keepdims=True)
        units: np.ndarray = x
        return units
