"""The stream: items in, results and vectors of several models out, in order and in bounded memory."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from visdiv_assets.embedding import Embedder, load, stream
from visdiv_assets.embedding.stream import Embedded, Prepared, run_models
from visdiv_assets_tests.conftest import ColorEmbedder, image
from visdiv_assets_tests.embedding.streams import embedded, vectors_of


def images(count: int) -> list[bytes]:
    return [image(seed) for seed in range(count)]


def pixels(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def expected(embedder: Embedder, given: list[bytes]) -> np.ndarray:
    return embedder.embed([pixels(data) for data in given]).astype(np.float16)


@pytest.mark.parametrize("runs_in_threads", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_vectors_come_in_the_order_of_the_images(threads: int, runs_in_threads: bool) -> None:
    given = images(26)
    embedder = ColorEmbedder(runs_in_threads=runs_in_threads)
    parts = [part.vectors for part in embedded(given, embedder, threads=threads)]
    assert [len(part) for part in parts] == [4, 4, 4, 4, 4, 4, 2]
    assert all(part.dtype == np.float16 for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), expected(embedder, given))


def test_sscd_gives_the_vectors_that_it_gives_directly() -> None:
    given = images(6)
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    np.testing.assert_array_equal(vectors_of(given, embedder), expected(embedder, given))


@pytest.mark.parametrize("threads", [1, 3])
def test_several_models_see_the_items_that_are_prepared_for_them(threads: int) -> None:
    models = {
        "every": ColorEmbedder(batch_size=5),
        "third": ColorEmbedder(batch_size=2, runs_in_threads=False),
        "none": ColorEmbedder(),
    }
    given = images(16)

    def prepare(number: int) -> Prepared[str]:
        wanted = ["every", "third"] if number % 3 == 0 else ["every"]
        return Prepared(str(number), {name: models[name].preprocess(pixels(given[number])) for name in wanted})

    running = run_models(range(16), prepare, models, threads=threads)
    made = list(running)
    assert [each for each in made if not isinstance(each, Embedded)] == [str(number) for number in range(16)]
    parts = [each for each in made if isinstance(each, Embedded)]
    for name, seen, sizes in (("every", given, [5, 5, 5, 1]), ("third", given[::3], [2, 2, 2])):
        of_model = [part.vectors for part in parts if part.model == name]
        assert [len(part) for part in of_model] == sizes
        np.testing.assert_array_equal(np.concatenate(of_model), expected(models[name], seen))
    assert models["none"].embedded == 0


def test_a_cpu_model_runs_in_threads_and_a_gpu_model_does_not() -> None:
    for runs_in_threads in (True, False):
        embedder = ColorEmbedder(runs_in_threads=runs_in_threads)
        vectors_of(images(12), embedder)
        assert (threading.current_thread().name in embedder.threads) == (not runs_in_threads)
        assert len(embedder.threads) >= 1


def test_no_images_give_no_vectors() -> None:
    assert list(embedded([], ColorEmbedder())) == []


@pytest.mark.parametrize("runs_in_threads", [True, False])
def test_few_images_are_held_however_many_follow(runs_in_threads: bool) -> None:
    data = image(0)
    drawn = 0

    def endless() -> Iterator[bytes]:
        nonlocal drawn
        while True:
            drawn += 1
            yield data

    threads, batch_size = 2, 3
    embedder = ColorEmbedder(batch_size=batch_size, runs_in_threads=runs_in_threads)
    parts = embedded(endless(), embedder, threads=threads)
    given = most_held = 0
    for _ in range(20):
        given += len(next(parts).vectors)
        most_held = max(most_held, drawn - given)
    parts.close()
    assert given == 60
    assert most_held <= threads * stream.AHEAD + (threads + 1) * batch_size


def test_large_items_are_in_flight_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_ITEM_BYTES", 100)
    running = most = 0
    lock = threading.Lock()

    def prepare(size: int) -> Prepared[int]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return Prepared(size, {})

    stream_of_sizes = run_models([60, 70, 200, 80], prepare, {}, threads=4, bytes_of=lambda size: size)
    assert list(stream_of_sizes) == [60, 70, 200, 80]
    assert most == 1


@pytest.mark.parametrize("runs_in_threads", [True, False])
def test_an_error_ends_the_stream_and_its_threads(runs_in_threads: bool) -> None:
    def prepare(number: int) -> Prepared[None]:
        if number == 9:
            raise ValueError("number 9")
        return Prepared(None, {"model": np.zeros((320, 320, 3), np.uint8)})

    before = threading.active_count()
    embedder = ColorEmbedder(runs_in_threads=runs_in_threads)
    running = run_models(range(40), prepare, {"model": embedder}, threads=3)
    with pytest.raises(ValueError, match="number 9"):
        list(running)
    assert threading.active_count() == before
