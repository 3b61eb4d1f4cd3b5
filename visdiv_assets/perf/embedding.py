"""How much of what the cores allow the embedding stream reaches, and what a loop of one image at a time reaches.

The cores allow cores / (core-seconds of decode and resize + core-seconds of the model), each measured alone in one
thread. Those are seconds of processor time, so they stay right where the machine is shared; the stream and the loop are
measured by the clock, as that is what a user waits for, so whatever else runs counts against them. Each is measured
several times, by turns, and the least counts.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from visdiv_assets.embedding import Embedder, load
from visdiv_assets.embedding.stream import EncodedImage, embed_images
from visdiv_assets.embedding.weights import onnx_weights
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.resize import SIDE
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map, thread_count

#: As large as FineVision's images typically are.
WIDTH, HEIGHT = 1200, 900
MAX_PIXELS = 100_000_000
FORMATS = {"JPEG": {"quality": 88}, "PNG": {}}

#: Embeds one RGB image in the way of the public scripts: float32 [1, dimension].
Loop = Callable[[Image.Image], np.ndarray]


def measure(images: int = 100, rounds: int = 3, progress: Progress = silent) -> list[Figure]:
    """Measure the CPU model's stream on this machine, on all cores that this process may use.

    Args:
        images: how many of each format.
        rounds: how often everything is measured.
        progress: told of every round.

    Returns:
        the figures of each format.

    Raises:
        VisdivError: the weights are not installed.
    """
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    return measure_stream("", embedder, _default_session(), images, rounds, progress)


def measure_stream(
    of: str, embedder: Embedder, loop: Loop, images: int, rounds: int, progress: Progress = silent
) -> list[Figure]:
    """Measure the stream of a CPU model; see `measure`.

    Args:
        of: the model's name in the figures; "" for the default.
        embedder: the model.
        loop: embeds one image as a script would.
        images: how many of each format.
        rounds: how often everything is measured.
        progress: told of every round.
    """
    cores = thread_count(0)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="visdiv-bench-") as folder:
        for kind in FORMATS:
            path = Path(folder) / f"{kind}.parquet"
            _write(path, ordered_map(partial(image, kind=kind), range(images), threads=cores))
            name = f"{of}{', ' if of else ''}{kind} of {WIDTH} x {HEIGHT}"
            figures += _figures(name, path, rounds, embedder, loop, cores, progress)
    return figures


def _figures(
    name: str, path: Path, rounds: int, embedder: Embedder, loop: Loop, cores: int, progress: Progress
) -> list[Figure]:
    encoded = [data for _, data in _read(path)]
    pixels = _prepared(encoded, embedder)
    count = len(encoded)
    stream = partial(_stream, path, embedder, cores)
    decode, model, busy, streamed, looped = _least(
        rounds,
        progress,
        (partial(_prepared, encoded, embedder), time.thread_time),
        (partial(_run, embedder, pixels), time.thread_time),
        (stream, time.process_time),
        (stream, time.perf_counter),
        (partial(_one_at_a_time, path, loop), time.perf_counter),
    )
    allowed = cores * count / (decode + model)
    per_image = 1e3 / count
    return [
        Figure(f"decode and resize alone, {name}", decode * per_image, "core-ms"),
        Figure(f"the model alone, {name}", model * per_image, "core-ms"),
        Figure(f"the stream, {name}", busy * per_image, "core-ms", remark="all threads together"),
        _rate(name, count / streamed, f"what {cores} cores allow", allowed),
        _rate(name, count / streamed, "one image at a time", count / looped),
        _rate(name, count / streamed, "the model alone", cores * count / model),
    ]


def _rate(name: str, ours: float, peer: str, theirs: float) -> Figure:
    return Figure(f"embedding, {name}", ours, "images/s", peer, theirs, ours / theirs)


def image(seed: int, kind: str) -> bytes:
    """A textured image that compresses as photographs do: noise whose spectrum falls as theirs does, and some edges.

    Args:
        seed: images of different seeds differ.
        kind: a key of `FORMATS`.
    """
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    # Channels share most of their brightness, as those of photographs do.
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
    """Noise of unit variance, [HEIGHT, WIDTH], whose amplitudes fall as that power of the frequency."""
    spectrum = np.fft.rfft2(random.standard_normal((HEIGHT, WIDTH))) / np.maximum(frequency, 1 / WIDTH) ** power
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (HEIGHT, WIDTH))
    scaled: np.ndarray = noise / noise.std()
    return scaled


def _least(rounds: int, progress: Progress, *measured: tuple[Callable[[], object], Callable[[], float]]) -> list[float]:
    """The least seconds that each of some pairs of work and clock took, done by turns."""
    least = [float("inf")] * len(measured)
    for _ in range(rounds):
        for place, (work, clock) in enumerate(measured):
            start = clock()
            work()
            least[place] = min(least[place], clock() - start)
        progress(1)
    return least


def _write(path: Path, images: Iterable[bytes]) -> None:
    schema = pa.schema([("image_id", pa.string()), ("bytes", pa.binary())])
    with pq.ParquetWriter(path, schema) as writer:
        for data in images:
            writer.write_batch(pa.record_batch([[image_id(data)], [data]], schema))


def _read(path: Path) -> Iterator[EncodedImage]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=16):
            yield from zip(batch["image_id"].to_pylist(), batch["bytes"].to_pylist(), strict=True)


def _prepared(encoded: list[bytes], embedder: Embedder) -> np.ndarray:
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
    """The whole way: read, decode, orient, resize, hash, model, write."""
    vectors = list(embed_images(_read(path), embedder, threads=cores, limits=DecodeLimits(MAX_PIXELS)))
    _save(path, np.concatenate(vectors))


def _one_at_a_time(path: Path, loop: Loop) -> None:
    """The same without checks, in the way of the public scripts: open, convert, resize, embed, next."""
    vectors = [loop(Image.open(io.BytesIO(data)).convert("RGB")) for _, data in _read(path)]
    _save(path, np.concatenate(vectors).astype(np.float16))


def _save(path: Path, vectors: np.ndarray) -> None:
    with path.with_suffix(".npy").open("wb") as stream:
        np.save(stream, vectors)
        stream.flush()
        os.fsync(stream.fileno())


def _default_session() -> Loop:
    """The same weights as a script would load them: ONNX Runtime's defaults, which use all cores for one image."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(onnx_weights()), providers=["CPUExecutionProvider"])

    def embed(image: Image.Image) -> np.ndarray:
        small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        vectors: np.ndarray = session.run(None, {"image": np.asarray(small)[None]})[0]
        return vectors

    return embed
