"""Embed a stream of encoded images in bounded memory.

A pool of threads decodes and resizes batches of images. A CPU model runs in the same threads, one core each. A GPU
model is started in the calling thread and computes one batch while the next is copied to it.

JPEGs are decoded at full size, although libjpeg can decode to half the size in three quarters of the time. With the
int8 model, changing one of 1,000 values by one gray level changes the vector to a cosine of 0.997 at worst, and drafts,
even at 4.7 times the model's input size, to 0.996. So every step before the model must keep every bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from visdiv_assets.embedding.interface import Embedder, unit_length_and_norms
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

if TYPE_CHECKING:
    from PIL.Image import Image

#: An image_id and the encoded bytes that it should name.
EncodedImage = tuple[str, bytes]


class Embedded(NamedTuple):
    """The vectors of a batch of images.

    Attributes:
        vectors: float16 [n, dimension], unit length.
        norms: float32 [n], lengths before scaling; None if the model returns unit vectors.
    """

    vectors: np.ndarray
    norms: np.ndarray | None


def embed_images(
    images: Iterable[EncodedImage],
    embedder: Embedder,
    *,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> Generator[np.ndarray, None, None]:
    """Embed images that were readable when they were listed.

    Args:
        images: read lazily, in order.
        embedder: the model.
        threads: threads that decode.
        limits: limits of images; a larger image counts as unreadable.
        progress: called with the number of images finished.

    Yields:
        float16 [n, dimension], the vectors of the next n images, in order.

    Raises:
        ModelError: an image does not match its image_id, or cannot be read: the source has changed since its images
            were listed.
    """
    for part in embed_with_norms(images, embedder, threads=threads, limits=limits, progress=progress):
        yield part.vectors


def embed_with_norms(
    images: Iterable[EncodedImage],
    embedder: Embedder,
    *,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> Iterator[Embedded]:
    """Embed images as `embed_images` does, and yield norms too if the embedder keeps them."""

    def prepare(batch: list[EncodedImage]) -> np.ndarray:
        pixels = embedder.stack([embedder.preprocess(_decode(image, limits)) for image in batch])
        return embedder.run(pixels) if embedder.runs_in_threads else pixels

    with embedder.working():
        prepared = ordered_map(prepare, _batches(images, embedder.batch_size), threads=threads)
        for features in prepared if embedder.runs_in_threads else _start_in_order(prepared, embedder):
            progress(len(features))
            vectors, norms = unit_length_and_norms(features) if embedder.keeps_norms else (features, None)
            yield Embedded(vectors.astype(np.float16), norms)


def _start_in_order(batches: Iterable[np.ndarray], embedder: Embedder) -> Iterator[np.ndarray]:
    running: deque[Callable[[], np.ndarray]] = deque()
    for pixels in batches:
        running.append(embedder.start(pixels))
        while len(running) > embedder.in_flight:
            yield running.popleft()()
    while running:
        yield running.popleft()()


def _decode(image: EncodedImage, limits: DecodeLimits) -> Image:
    expected, data = image
    decoded = decode_image(data, limits=limits)
    if decoded.pixels is None or image_id(data) != expected:
        raise image_changed(expected)
    return decoded.pixels


def image_changed(image_id: str) -> ModelError:
    """Return the error for an image that differs from the one that was listed."""
    return ModelError(f"image {image_id} has changed since subset_images was made: materialize it again")


def _batches(items: Iterable[EncodedImage], size: int) -> Iterator[list[EncodedImage]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
