"""Vectors of encoded images, as the stream makes them."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import numpy as np

from visdiv_assets.embedding import Embedder
from visdiv_assets.embedding.stream import Embedded, Prepared, run_models
from visdiv_assets.imaging.decode import decode_image


def embedded(images: Iterable[bytes], embedder: Embedder, *, threads: int = 2) -> Generator[Embedded, None, None]:
    """Yield the vectors of readable images, batch by batch."""

    def prepare(data: bytes) -> Prepared[None]:
        pixels = decode_image(data).pixels
        assert pixels is not None
        return Prepared(None, {"model": embedder.preprocess(pixels)})

    for part in run_models(images, prepare, {"model": embedder}, threads=threads):
        if part is not None:
            yield part


def vectors_of(images: Iterable[bytes], embedder: Embedder, *, threads: int = 2) -> np.ndarray:
    """Return the vectors of readable images, float16 [n, d]."""
    return np.concatenate([part.vectors for part in embedded(images, embedder, threads=threads)])
