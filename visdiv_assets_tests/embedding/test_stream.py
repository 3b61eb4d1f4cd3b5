"""The stream: encoded images in, vectors out, in order and in bounded memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.embedding import Embedder, load
from visdiv_assets.embedding.stream import EncodedImage, embed_images
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets_tests.conftest import ColorEmbedder, image

MAX_PIXELS = 1_000_000


def images(count: int) -> list[EncodedImage]:
    return [(image_id(data), data) for data in (image(seed) for seed in range(count))]


def expected(embedder: Embedder, given: list[EncodedImage]) -> np.ndarray:
    images = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in given]
    return embedder.embed(images).astype(np.float16)


@pytest.mark.parametrize("runs_in_threads", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_vectors_come_in_the_order_of_the_images(threads: int, runs_in_threads: bool) -> None:
    given = images(26)
    embedder = ColorEmbedder(runs_in_threads=runs_in_threads)
    parts = list(embed_images(given, embedder, threads=threads, limits=DecodeLimits(MAX_PIXELS)))
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 4, 2]
    assert all(part.dtype == np.float16 for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), expected(embedder, given))


def test_sscd_gives_the_vectors_that_it_gives_directly() -> None:
    given = images(6)
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    streamed = np.concatenate(list(embed_images(given, embedder, threads=2, limits=DecodeLimits(MAX_PIXELS))))
    np.testing.assert_array_equal(streamed, expected(embedder, given))


def test_a_cpu_model_runs_in_threads_and_a_gpu_model_does_not() -> None:
    for runs_in_threads in (True, False):
        embedder = ColorEmbedder(runs_in_threads=runs_in_threads)
        list(embed_images(images(12), embedder, threads=2, limits=DecodeLimits(MAX_PIXELS)))
        assert (threading.current_thread().name in embedder.threads) == (not runs_in_threads)
        assert len(embedder.threads) >= 1


def test_no_images_give_no_vectors() -> None:
    assert list(embed_images([], ColorEmbedder(), threads=2, limits=DecodeLimits(MAX_PIXELS))) == []


@pytest.mark.parametrize("runs_in_threads", [True, False])
def test_few_images_are_held_however_many_follow(runs_in_threads: bool) -> None:
    data = image(0)
    name = image_id(data)
    drawn = 0

    def endless() -> Iterator[EncodedImage]:
        nonlocal drawn
        while True:
            drawn += 1
            yield name, data

    threads, batch_size = 2, 3
    embedder = ColorEmbedder(batch_size=batch_size, runs_in_threads=runs_in_threads)
    stream = embed_images(endless(), embedder, threads=threads, limits=DecodeLimits(MAX_PIXELS))
    given = most_held = 0
    for _ in range(20):
        given += len(next(stream))
        most_held = max(most_held, drawn - given)
    stream.close()
    assert given == 60
    assert most_held <= 2 * threads * batch_size


def test_progress_is_told_of_every_image() -> None:
    told: list[int] = []
    list(embed_images(images(10), ColorEmbedder(), threads=2, limits=DecodeLimits(MAX_PIXELS), progress=told.append))
    assert told == [4, 4, 2]


def test_an_image_that_was_not_listed_is_named() -> None:
    given = images(10)
    given[6] = (given[6][0], given[7][1])
    stream = embed_images(given, ColorEmbedder(), threads=2, limits=DecodeLimits(MAX_PIXELS))
    assert len(next(stream)) == 4
    with pytest.raises(VisdivError, match=f"image {given[6][0]} has changed since subset_images was made"):
        next(stream)


@pytest.mark.parametrize("data", [b"", b"<html>", image(1)[:60]], ids=["empty", "other", "truncated"])
def test_a_image_that_cannot_be_read_stops_the_stream(data: bytes) -> None:
    stream = embed_images([(image_id(data), data)], ColorEmbedder(), threads=2, limits=DecodeLimits(MAX_PIXELS))
    with pytest.raises(VisdivError, match=image_id(data)):
        list(stream)


def test_a_image_above_the_limit_of_pixels_stops_the_stream() -> None:
    with pytest.raises(VisdivError, match="has changed"):
        list(embed_images(images(1), ColorEmbedder(), threads=1, limits=DecodeLimits(64 * 64 - 1)))
