"""Throughput of the embedding stream against the limit of the cores and against a loop over single images.

The limit is cores / (core-seconds to decode and resize + core-seconds of the model), each measured separately in one
thread. These are seconds of processor time, which stay valid on a shared machine. The stream and the loop are measured
in wall-clock time, which is what a user waits for, so other processes count against them. Everything is measured
several times in turn, and the minimum counts.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from visdiv_assets.embedding import Embedder, load
from visdiv_assets.embedding.weights import onnx_weights
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import image_bytes
from visdiv_assets.imaging.resize import SIDE
from visdiv_assets.ingest import ModelWanted, Wanted, ingest_shard
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.threads import ordered_map, thread_count

#: Size in pixels, typical of FineVision's images.
WIDTH, HEIGHT = 1200, 900
MAX_PIXELS = 100_000_000
FORMATS = {"JPEG": {"quality": 88}, "PNG": {}}

#: Embeds one RGB image as public scripts do: float32 [1, dimension].
Loop = Callable[[Image.Image], np.ndarray]


def measure(images: int = 100, rounds: int = 3, progress: Progress = silent) -> list[Figure]:
    """Measure the stream of the CPU model on all cores that this process may use.

    Args:
        images: number of images of each format.
        rounds: number of times that everything is measured.
        progress: called after every round.

    Returns:
        the figures of each format.

    Raises:
        ModelError: the weights are not installed.
    """
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    return measure_stream("", embedder, _load_onnx_loop(), images, rounds, progress)


def measure_stream(
    model: str, embedder: Embedder, loop: Loop, images: int, rounds: int, progress: Progress = silent
) -> list[Figure]:
    """Measure the stream of a CPU model; see `measure`.

    Args:
        model: the model's name in the figures; empty for the default.
        embedder: the model.
        loop: embeds one image as a script would.
        images: number of images of each format.
        rounds: number of times that everything is measured.
        progress: called after every round.
    """
    cores = thread_count(0)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        for kind in FORMATS:
            path = Path(folder) / f"{kind}.parquet"
            _write(path, ordered_map(partial(image, kind=kind), range(images), threads=cores))
            name = f"{model}{', ' if model else ''}{kind} of {WIDTH} x {HEIGHT}"
            figures += _figures(name, path, rounds, embedder, loop, cores, progress)
    return figures


def _figures(
    name: str, path: Path, rounds: int, embedder: Embedder, loop: Loop, cores: int, progress: Progress
) -> list[Figure]:
    encoded = list(_read(path))
    pixels = _prepare(encoded, embedder)
    count = len(encoded)
    stream = partial(_stream, path, embedder, cores)
    decode, model, busy, streamed, looped = measure_minima(
        rounds,
        progress,
        (partial(_prepare, encoded, embedder), time.thread_time),
        (partial(_run, embedder, pixels), time.thread_time),
        (stream, time.process_time),
        (stream, time.perf_counter),
        (partial(_loop_over_images, path, loop), time.perf_counter),
    )
    allowed = cores * count / (decode + model)
    per_image = 1e3 / count
    return [
        Figure(f"decode and resize only, {name}", decode * per_image, "core-ms"),
        Figure(f"model only, {name}", model * per_image, "core-ms"),
        Figure(f"whole stream, {name}", busy * per_image, "core-ms", remark="sum over all threads"),
        _rate(name, count / streamed, f"limit of {cores} cores", allowed),
        _rate(name, count / streamed, "loop over single images", count / looped),
        _rate(name, count / streamed, "model only", cores * count / model),
    ]


def _rate(name: str, ours: float, peer: str, theirs: float) -> Figure:
    return Figure(f"embedding, {name}", ours, "images/s", peer, theirs, ours / theirs)


def image(seed: int, kind: str) -> bytes:
    """Make an encoded image that compresses like a photograph: noise with the spectrum of photographs, and some edges.

    Args:
        seed: different seeds give different images.
        kind: a key of `FORMATS`.
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    # As in photographs, the channels share most of their brightness.
    texture = _noise(random, frequency, 1.5)
    channels = [texture + 0.25 * _noise(random, frequency, 2.0) for _ in range(3)]
    values = 128 + 45 * np.stack(channels, axis=2)
    for _ in range(12):
        y, x = random.integers(0, HEIGHT), random.integers(0, WIDTH)
        values[y : y + random.integers(40, 300), x : x + random.integers(40, 300)] += random.normal(0, 30, 3)
    stream = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(stream, kind, **FORMATS[kind])
    return stream.getvalue()


def _noise(random: np.random.Generator, frequency: np.ndarray, power: float) -> np.ndarray:
    """Make noise [HEIGHT, WIDTH] of unit variance whose amplitudes fall with a power of the frequency."""
    spectrum = np.fft.rfft2(random.standard_normal((HEIGHT, WIDTH))) / np.maximum(frequency, 1 / WIDTH) ** power
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (HEIGHT, WIDTH))
    scaled: np.ndarray = noise / noise.std()
    return scaled


def measure_minima(
    rounds: int, progress: Progress, *measured: tuple[Callable[[], object], Callable[[], float]]
) -> list[float]:
    """Run each pair of work and clock once per round, in turn, and return the minimum seconds of each."""
    minima = [float("inf")] * len(measured)
    for _ in range(rounds):
        for index, (work, clock) in enumerate(measured):
            start = clock()
            work()
            minima[index] = min(minima[index], clock() - start)
        progress(1)
    return minima


def _write(path: Path, images: Iterable[bytes]) -> None:
    with pq.ParquetWriter(path, schema_of(["images"])) as writer:
        for batch in batches_of(images):
            writer.write_batch(batch)


def batches_of(images: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """Yield encoded images as rows of a source, one image each."""
    for data in images:
        yield pa.RecordBatch.from_pylist([{"images": [{"bytes": data, "path": None}]}], schema_of(["images"]))


def _read_rows(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=8)


def _read(path: Path) -> Iterator[bytes]:
    for batch in _read_rows(path):
        yield from image_bytes(batch)[2].to_pylist()


def _prepare(encoded: list[bytes], embedder: Embedder) -> np.ndarray:
    prepared = []
    for data in encoded:
        image = decode_image(data, limits=DecodeLimits(MAX_PIXELS)).pixels
        assert image is not None
        prepared.append(embedder.preprocess(image))
    return embedder.stack(prepared)


def _run(embedder: Embedder, pixels: np.ndarray) -> None:
    with embedder.working():
        for start in range(0, len(pixels), embedder.batch_size):
            embedder.run(pixels[start : start + embedder.batch_size])


def _stream(path: Path, embedder: Embedder, cores: int) -> None:
    """Run the whole stream: read, decode, orient, resize, hash, embed, write."""
    _save(path, embed(lambda columns: _read_rows(path), embedder, threads=cores))


def embed(read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]], embedder: Embedder, *, threads: int) -> np.ndarray:
    """Embed the different readable images of a shard as the pass does: float16 [n, dimension].

    Args:
        read: as in `ingest.ingest_shard`.
        embedder: the model.
        threads: threads that decode, and run the model on the CPU.
    """
    limits = DecodeLimits(MAX_PIXELS)
    wanted = Wanted(models={"": ModelWanted(embedder)})
    return ingest_shard(read, wanted, first_row=0, threads=threads, limits=limits).vectors[""].vectors


def _loop_over_images(path: Path, loop: Loop) -> None:
    """Embed the same images without checks, one by one, as public scripts do: open, convert, resize, embed."""
    vectors = [loop(Image.open(io.BytesIO(data)).convert("RGB")) for data in _read(path)]
    _save(path, np.concatenate(vectors).astype(np.float16))


def _save(path: Path, vectors: np.ndarray) -> None:
    with path.with_suffix(".npy").open("wb") as stream:
        np.save(stream, vectors)
        stream.flush()
        os.fsync(stream.fileno())


def _load_onnx_loop() -> Loop:
    """Load the same weights as a script would, with ONNX Runtime's defaults, which use all cores for one image."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_weights()), providers=["CPUExecutionProvider"])

    def embed(image: Image.Image) -> np.ndarray:
        small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        vectors: np.ndarray = session.run(None, {"image": np.asarray(small)[None]})[0]
        return vectors

    return embed
