"""The streaming embedder: encoded images in, vectors out, in bounded memory.

Batches of encoded images go through a pool of threads that decode and resize them. A CPU model runs in the same
threads, one core each; a GPU model is started in the calling thread, fed by them, and computes one batch while the next
is on its way to it.

JPEGs are decoded in full, although libjpeg can give half the size in three quarters of the time. The int8 model answers
a change of one gray level in one of 1,000 values with a cosine down to 0.997, and drafts, even where they are 4.7 times
the size that the model takes, with one down to 0.996. So whatever comes before the model must keep every bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from visdiv_assets.embedding.interface import Embedder, unit_length_and_norms
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

#: An image_id and the encoded bytes that it must name.
EncodedImage = tuple[str, bytes]


class Embedded(NamedTuple):
    """Some images' vectors.

    Attributes:
        vectors: float16 [n, dimension], unit length.
        norms: float32 [n], the lengths that the model gave them; None where it gives unit vectors.
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
) -> Iterator[np.ndarray]:
    """Embed images that are known to be readable.

    Args:
        images: drawn lazily, in order.
        embedder: the model.
        threads: threads that decode.
        limits: of images; a larger one counts as unreadable.
        progress: told of each batch.

    Yields:
        float16 [n, dimension], the vectors of the next n images, in order.

    Raises:
        ModelError: an image is not the one that its image_id names, or cannot be read: the source has changed since
            its images were listed.
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
    """As `embed_images`, with the lengths that the vectors had where the embedder keeps them."""

    def prepare(batch: list[EncodedImage]) -> np.ndarray:
        pixels = embedder.stack([embedder.preprocess(_decode(image, limits)) for image in batch])
        return embedder.run(pixels) if embedder.runs_in_threads else pixels

    with embedder.working():
        prepared = ordered_map(prepare, _batches(images, embedder.batch_size), threads=threads)
        for features in prepared if embedder.runs_in_threads else _started(prepared, embedder):
            progress(len(features))
            vectors, norms = unit_length_and_norms(features) if embedder.keeps_norms else (features, None)
            yield Embedded(vectors.astype(np.float16), norms)


def _started(batches: Iterable[np.ndarray], embedder: Embedder) -> Iterator[np.ndarray]:
    running: deque[Callable[[], np.ndarray]] = deque()
    for pixels in batches:
        running.append(embedder.start(pixels))
        while len(running) > embedder.in_flight:
            yield running.popleft()()
    while running:
        yield running.popleft()()


def _decode(image: EncodedImage, limits: DecodeLimits):  # type: ignore[no-untyped-def]
    expected, data = image
    decoded = decode_image(data, limits=limits)
    if decoded.pixels is None or image_id(data) != expected:
        raise image_changed(expected)
    return decoded.pixels


def image_changed(image_id: str) -> ModelError:
    """The error to raise where an image is not, or no longer, the one that was listed."""
    return ModelError(f"image {image_id} has changed since subset_images was made: materialize it again")


def _batches(items: Iterable[EncodedImage], size: int) -> Iterator[list[EncodedImage]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
