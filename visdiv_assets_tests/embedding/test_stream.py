"""The stream: encoded pictures in, vectors out, in order and in bounded memory."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.embedding import Embedder, load
from visdiv_assets.embedding.stream import Picture, embed_pictures
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets_tests.conftest import ColourEmbedder, picture

MAX_PIXELS = 1_000_000


def pictures(count: int) -> list[Picture]:
    return [(image_id(data), data) for data in (picture(seed) for seed in range(count))]


def expected(embedder: Embedder, given: list[Picture]) -> np.ndarray:
    images = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in given]
    return embedder.embed(images).astype(np.float16)


@pytest.mark.parametrize("runs_in_threads", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_vectors_come_in_the_order_of_the_pictures(threads: int, runs_in_threads: bool) -> None:
    given = pictures(26)
    embedder = ColourEmbedder(runs_in_threads=runs_in_threads)
    parts = list(embed_pictures(given, embedder, threads=threads, max_pixels=MAX_PIXELS))
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 4, 2]
    assert all(part.dtype == np.float16 for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), expected(embedder, given))


def test_sscd_gives_the_vectors_that_it_gives_directly() -> None:
    given = pictures(6)
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    streamed = np.concatenate(list(embed_pictures(given, embedder, threads=2, max_pixels=MAX_PIXELS)))
    np.testing.assert_array_equal(streamed, expected(embedder, given))


def test_a_cpu_model_runs_in_the_worker_threads_and_a_gpu_model_in_the_calling_one() -> None:
    for runs_in_threads in (True, False):
        embedder = ColourEmbedder(runs_in_threads=runs_in_threads)
        list(embed_pictures(pictures(12), embedder, threads=2, max_pixels=MAX_PIXELS))
        assert (threading.current_thread().name in embedder.threads) == (not runs_in_threads)
        assert len(embedder.threads) >= 1


def test_no_pictures_give_no_vectors() -> None:
    assert list(embed_pictures([], ColourEmbedder(), threads=2, max_pixels=MAX_PIXELS)) == []


@pytest.mark.parametrize("runs_in_threads", [True, False])
def test_few_pictures_are_held_however_many_follow(runs_in_threads: bool) -> None:
    data = picture(0)
    name = image_id(data)
    drawn = 0

    def endless() -> Iterator[Picture]:
        nonlocal drawn
        while True:
            drawn += 1
            yield name, data

    threads, batch_size = 2, 3
    embedder = ColourEmbedder(batch_size=batch_size, runs_in_threads=runs_in_threads)
    stream = embed_pictures(endless(), embedder, threads=threads, max_pixels=MAX_PIXELS)
    given = most_held = 0
    for _ in range(20):
        given += len(next(stream))
        most_held = max(most_held, drawn - given)
    stream.close()
    assert given == 60
    assert most_held <= 2 * threads * batch_size


def test_progress_is_told_of_every_picture() -> None:
    told: list[int] = []
    list(embed_pictures(pictures(10), ColourEmbedder(), threads=2, max_pixels=MAX_PIXELS, progress=told.append))
    assert told == [4, 4, 2]


def test_a_picture_that_is_not_the_one_listed_stops_the_stream_and_is_named() -> None:
    given = pictures(10)
    given[6] = (given[6][0], given[7][1])
    stream = embed_pictures(given, ColourEmbedder(), threads=2, max_pixels=MAX_PIXELS)
    assert len(next(stream)) == 4
    with pytest.raises(VisdivError, match=f"picture {given[6][0]} has changed since subset_images was made"):
        next(stream)


@pytest.mark.parametrize("data", [b"", b"<html>", picture(1)[:60]], ids=["empty", "other", "truncated"])
def test_a_picture_that_cannot_be_read_stops_the_stream(data: bytes) -> None:
    stream = embed_pictures([(image_id(data), data)], ColourEmbedder(), threads=2, max_pixels=MAX_PIXELS)
    with pytest.raises(VisdivError, match=image_id(data)):
        list(stream)


def test_a_picture_above_the_limit_of_pixels_stops_the_stream() -> None:
    with pytest.raises(VisdivError, match="has changed"):
        list(embed_pictures(pictures(1), ColourEmbedder(), threads=1, max_pixels=64 * 64 - 1))
