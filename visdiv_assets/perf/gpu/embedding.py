"""Images per second from JPEG files to vectors, beside the model alone and decoding alone; texts per second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from visdiv_assets.embedding import Embedder, load_clip_images, load_clip_texts
from visdiv_assets.embedding.extract import ImageEmbedder
from visdiv_assets.embedding.sscd.torchscript import TorchSscd
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.perf.embedding import HEIGHT, MAX_PIXELS, WIDTH, image
from visdiv_assets.perf.gpu.models import clip_folder, sscd_file
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.threads import ordered_map, thread_count

#: Number of images whose vectors are compared with those of the CPU.
COMPARED = 16
#: Letters of a text, one token each: texts of questions are shorter, those of answers longer.
LETTERS = (10, 75)


def measure_sscd(setup: Setup) -> list[Figure]:
    """Measure SSCD: ResNet-50 at 320 x 320."""
    weights = sscd_file(setup.folder, whole=setup.sizes.whole_models)
    return _measure(setup, "SSCD", partial(TorchSscd, weights))


def measure_clip_images(setup: Setup) -> list[Figure]:
    """Measure CLIP's image tower: ViT-B/32 at 224 x 224."""
    folder = clip_folder(setup.folder, whole=setup.sizes.whole_models)
    return _measure(setup, "CLIP", lambda device: load_clip_images(str(folder), device=device))


def measure_clip_texts(setup: Setup) -> list[Figure]:
    """Measure CLIP's text tower, tokens included."""
    folder = clip_folder(setup.folder, whole=setup.sizes.whole_models)
    embedder = load_clip_texts(str(folder), device=setup.device)
    random = np.random.default_rng(0)
    lengths = random.integers(*LETTERS, setup.sizes.texts)
    texts = [bytes(random.integers(97, 123, length, np.uint8)).decode() for length in lengths]
    embedder.embed(texts[: embedder.batch_size])
    seconds = _seconds(lambda: embedder.embed(texts, threads=thread_count(0)))
    name = f"CLIP vectors of {len(texts):,} texts on {setup.where}"
    return [Figure(name, len(texts) / seconds, "texts/s", remark=_models(setup))]


def jpeg_files(setup: Setup) -> list[Path]:
    """Return the JPEG files that a model reads, 1200 x 900; different ones are made once, and occur many times."""
    folder = setup.folder / "images"
    folder.mkdir(exist_ok=True)
    files = [folder / f"{index}.jpg" for index in range(setup.sizes.different)]

    def make(index: int) -> None:
        unfinished = files[index].with_suffix(".part")
        unfinished.write_bytes(image(index, "JPEG"))
        unfinished.rename(files[index])

    missing = [index for index, file in enumerate(files) if not file.exists()]
    deque(ordered_map(make, missing, threads=thread_count(0)), maxlen=0)
    return [files[index % len(files)] for index in range(setup.sizes.files)]


def _measure(setup: Setup, model: str, load: Callable[[str], Embedder]) -> list[Figure]:
    files = jpeg_files(setup)
    cores = thread_count(0)
    embedder = load(setup.device)
    extractor = ImageEmbedder(embedder)

    def prepare(file: Path) -> np.ndarray:
        decoded = decode_image(file.read_bytes(), limits=DecodeLimits(MAX_PIXELS)).pixels
        assert decoded is not None
        return embedder.preprocess(decoded)

    def decode() -> list[np.ndarray]:
        return list(ordered_map(prepare, files[: 8 * setup.sizes.different], threads=cores))

    # The first call of a GPU takes seconds: it loads libraries and chooses kernels.
    extractor.extract(files[: 2 * embedder.batch_size], progress=False)
    inputs = decode()
    decoding = len(inputs) / _seconds(decode)
    alone = setup.sizes.model_images / _seconds(partial(run_alone, embedder, inputs, setup.sizes.model_images))
    whole = len(files) / _seconds(lambda: extractor.extract(files, progress=False))
    name = f"{model} vectors of {len(files):,} JPEG files of {WIDTH} x {HEIGHT} on {setup.where}"
    remark = f"batches of {embedder.batch_size}, {cores} cores decode; {_models(setup)}"
    figures = [
        Figure(name, whole, "images/s", "the model alone", alone, whole / alone, remark=remark),
        Figure(name, whole, "images/s", f"decoding alone, {cores} cores", decoding, whole / decoding, remark=remark),
    ]
    if setup.device != "cpu":
        figures.append(_compare(setup, model, embedder, load("cpu"), inputs[:COMPARED]))
    return figures


def run_alone(embedder: Embedder, inputs: Sequence[np.ndarray], images: int) -> None:
    """Run a model on prepared images [height, width, 3], again and again, as a stream does: one batch ahead on a GPU.

    Args:
        embedder: the model.
        inputs: prepared images.
        images: number of images to embed.
    """
    size = embedder.batch_size
    stacked = [embedder.stack(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    rows = [len(batch) for batch in stacked]
    order: list[int] = []
    left = images
    while left > 0:
        order.append(len(order) % len(stacked))
        left -= rows[order[-1]]
    with embedder.working():
        if embedder.runs_in_threads:
            deque(ordered_map(lambda index: embedder.run(stacked[index]), order, threads=thread_count(0)), maxlen=0)
            return
        running: deque[Callable[[], np.ndarray]] = deque()
        for index in order:
            running.append(embedder.start(stacked[index]))
            if len(running) > embedder.in_flight:
                running.popleft()()
        for finish in running:
            finish()


def _compare(setup: Setup, model: str, embedder: Embedder, reference: Embedder, inputs: Sequence[np.ndarray]) -> Figure:
    """Compare half precision on the device with float32 on the CPU."""
    ours, theirs = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        for vectors in (embedder.run(embedder.stack(inputs)), reference.run(reference.stack(inputs)))
    )
    cosine = float((ours * theirs).sum(axis=1).min())
    name = f"{model} vectors of {len(inputs)} images on {setup.where} and on the CPU"
    return Figure(name, cosine, "lowest cosine", remark=f"1 - cosine is at most {1 - cosine:.1e}; {_models(setup)}")


def _models(setup: Setup) -> str:
    return "random weights" if setup.sizes.whole_models else "random weights, few layers"


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
