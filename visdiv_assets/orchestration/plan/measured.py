"""Rates measured now, for work that no run has recorded: some images of the source, some pairs, a small join."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.tables import READS_IMAGES
from visdiv_assets.devices import resolve_device
from visdiv_assets.duplicates.candidates import CandidateRule
from visdiv_assets.duplicates.verify import verify_pair
from visdiv_assets.embedding.regions import RegionEmbedder
from visdiv_assets.errors import SourceError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.ingest import ModelWanted, ShardProducts, Wanted, ingest_shard
from visdiv_assets.ingest.wanted import every_image
from visdiv_assets.orchestration.plan.what_runs import CHANGED, NEW, Part
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Source
from visdiv_assets.texts.ocr.rapid import load_reader
from visdiv_assets.threads import thread_count
from visdiv_assets.vectors.join_blocks import compute_part
from visdiv_assets.wiring import load_sscd

#: Number of images to measure, and maximum number of them from one subset or benchmark.
IMAGES, IMAGES_OF_A_PART = 24, 6

#: Number of pairs of images to compare.
PAIRS = 4

#: Number of images whose text is read.
OCR_IMAGES = 6

#: Number and length of the vectors of the join.
VECTORS, DIMENSION = 16_384, 512


@dataclass(frozen=True)
class Measured:
    """Rates on this machine.

    Attributes:
        images: number of images measured; 0 if none could be read.
        pass_seconds: seconds per image of the pass over the source.
        pass_bytes: bytes per image of what the pass stores.
        verify_seconds: seconds per compared pair.
        join_seconds: seconds per pair of vectors.
        ocr_seconds: seconds per image whose text is read; 0 if no part has its text read.
    """

    images: int
    pass_seconds: float
    pass_bytes: float
    verify_seconds: float
    join_seconds: float
    ocr_seconds: float = 0.0


def measure(settings: Settings, source: Source, parts: Sequence[Part]) -> Measured:
    """Measure the rates in a few seconds, on the first images of subsets and benchmarks, new and changed ones first.

    Args:
        settings: settings of the run.
        source: the source.
        parts: what would run.

    Raises:
        ModelError: the model cannot be loaded.
    """
    images = list(islice(_images(source, parts), IMAGES))
    join_seconds = _measure_join(settings)
    if len(images) < 2:
        return Measured(0, 0.0, 0.0, 0.0, join_seconds)
    seconds, size = _measure_pass(settings, images)
    verify_seconds = _measure_verification(settings, images)
    ocr_seconds = _measure_ocr(settings, images) if any(READS_IMAGES & part.made for part in parts) else 0.0
    return Measured(len(images), seconds, size, verify_seconds, join_seconds, ocr_seconds)


def _images(source: Source, parts: Sequence[Part]) -> Iterator[bytes]:
    for part in sorted(parts, key=lambda part: part.state not in (NEW, CHANGED)):
        if part.images:
            rows = range(min(IMAGES_OF_A_PART, part.images))
            try:
                found = source.fetch(part.kind, part.name, [(row, 0) for row in rows])
            except SourceError:
                continue  # one of the rows has no image
            yield from (data for data in found if data)


def _measure_pass(settings: Settings, images: Sequence[bytes]) -> tuple[float, float]:
    """Return the seconds and stored bytes per image."""
    embedder = load_sscd(settings)
    models = {"sscd": ModelWanted(embedder)}
    if settings.regions:
        models["regions"] = ModelWanted(RegionEmbedder(embedder))
    wanted = Wanted(images=True, thumbnails=every_image, features=every_image, models=models)
    threads, limits = thread_count(settings.threads), settings.decode_limits

    def run(data: Sequence[bytes]) -> ShardProducts:
        batch = pa.record_batch({"images": pa.array([[{"bytes": each, "path": None}] for each in data])})
        return ingest_shard(lambda columns: [batch], wanted, first_row=0, threads=threads, limits=limits)

    run(images[:1])  # pays for imports
    begin = time.perf_counter()
    made = run(images)
    seconds = time.perf_counter() - begin
    return seconds / len(images), len(pickle.dumps(made)) / len(images)


def _measure_verification(settings: Settings, images: Sequence[bytes]) -> float:
    """Return the seconds per pair; half of the pairs are copies, which take longer."""
    pixels = []
    for data in images:
        decoded = decode_image(data, limits=settings.decode_limits).pixels
        if decoded is None:
            continue  # one that is unreadable is not compared
        pixels.append(decoded)
        if len(pixels) == PAIRS:
            break
    if len(pixels) < 2:
        return 0.0
    different = list(pairwise(pixels))
    copies = [(image, image.resize((image.width * 4 // 5 + 1, image.height * 4 // 5 + 1))) for image in pixels]
    verify_pair(*different[0])  # pays for imports
    begin = time.perf_counter()
    for one, other in (*different, *copies):
        verify_pair(one, other)
    return (time.perf_counter() - begin) / (len(different) + len(copies)) / thread_count(settings.threads)


def _measure_ocr(settings: Settings, images: Sequence[bytes]) -> float:
    """Return the seconds per image whose text is read, on a few images spread over those given."""
    reader = load_reader(thread_count(settings.threads))
    taken = []
    for data in images[:: max(len(images) // OCR_IMAGES, 1)][:OCR_IMAGES]:
        decoded = decode_image(data, limits=settings.decode_limits).pixels
        if decoded is not None:
            begin = time.perf_counter()
            reader.read(np.asarray(decoded))
            taken.append(time.perf_counter() - begin)
    return sum(taken) / len(taken) if taken else 0.0


def _measure_join(settings: Settings) -> float:
    """Return the seconds per pair of a join of random vectors that finds close pairs and candidates."""
    vectors = np.random.default_rng(0).standard_normal((VECTORS, DIMENSION), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    candidates = CandidateRule(settings.candidate_floor, settings.candidates_kept, settings.pdq_distance)
    rule = candidates.partners(settings.similarity_floor, settings.neighbors_kept)
    device = resolve_device(settings.device)
    begin = time.perf_counter()
    compute_part(vectors, None, (0, VECTORS), rule, device=device)
    return (time.perf_counter() - begin) / (VECTORS * (VECTORS - 1) / 2)
