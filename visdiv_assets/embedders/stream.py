"""The streaming embedder: encoded pictures in, vectors out, in bounded memory.

Batches of encoded pictures go through a pool of threads that decode and resize them. A CPU model runs in the same
threads, one core each; a GPU model is started in the calling thread, fed by them, and computes one batch while the next
is on its way to it.

JPEGs are decoded in full, although libjpeg can give half the size in three quarters of the time. The int8 model answers
a change of one grey level in one of 1,000 values with a cosine down to 0.997, and drafts, even where they are 4.7 times
the size that the model takes, with one down to 0.996. So whatever comes before the model must keep every bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from visdiv_assets.embedders.interface import Embedder
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.parallel import ordered_map
from visdiv_assets.progress import Progress, silent

#: An image_id and the encoded bytes that it must name.
Picture = tuple[str, bytes]


def embed_pictures(
    pictures: Iterable[Picture],
    embedder: Embedder,
    *,
    threads: int,
    max_pixels: int,
    progress: Progress = silent,
) -> Iterator[np.ndarray]:
    """Embed pictures that are known to be readable.

    Args:
        pictures: drawn lazily, in order.
        embedder: the model.
        threads: threads that decode.
        max_pixels: limit that the pictures were checked against.
        progress: told of each batch.

    Yields:
        float16 [n, dimension], the vectors of the next n pictures, in order.

    Raises:
        VisdivError: a picture is not the one that its image_id names, or cannot be read: the source has changed since
            its images were listed.
    """

    def prepare(batch: list[Picture]) -> np.ndarray:
        pixels = embedder.stack([embedder.preprocess(_decode(picture, max_pixels)) for picture in batch])
        return embedder.run(pixels) if embedder.runs_in_threads else pixels

    prepared = ordered_map(prepare, _batches(pictures, embedder.batch_size), threads=threads)
    for vectors in prepared if embedder.runs_in_threads else _started(prepared, embedder):
        progress(len(vectors))
        yield vectors.astype(np.float16)


def _started(batches: Iterable[np.ndarray], embedder: Embedder) -> Iterator[np.ndarray]:
    running: deque[Callable[[], np.ndarray]] = deque()
    for pixels in batches:
        running.append(embedder.start(pixels))
        while len(running) > embedder.in_flight:
            yield running.popleft()()
    while running:
        yield running.popleft()()


def _decode(picture: Picture, max_pixels: int):  # type: ignore[no-untyped-def]
    expected, data = picture
    decoded = decode_image(data, max_pixels=max_pixels)
    if decoded.pixels is None or image_id(data) != expected:
        raise picture_changed(expected)
    return decoded.pixels


def picture_changed(image_id: str) -> VisdivError:
    """The error to raise where a picture is not, or no longer, the one that was listed."""
    return VisdivError(f"picture {image_id} has changed since subset_images was made: materialise it again")


def _batches(items: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
