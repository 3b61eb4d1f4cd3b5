"""Processor time of the pass over a source, by stage: from an image's encoded bytes to everything that is stored of it.

Each stage is measured on its own in one thread, the whole pass on all cores; both are seconds of processor time, which
stay valid on a shared machine. Everything is measured several times in turn, and the minimum counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from visdiv_assets.embedding import Embedder, load
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import describe
from visdiv_assets.imaging.local_features import extract_features
from visdiv_assets.imaging.thumbnails import encode_thumbnail
from visdiv_assets.ingest import ModelWanted, Wanted, ingest_shard
from visdiv_assets.ingest.wanted import every_image
from visdiv_assets.perf.embedding import FORMATS, HEIGHT, MAX_PIXELS, WIDTH, batches_of, image, measure_minima
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map, thread_count

#: What no pass can do without: the pass is compared with the sum of these stages.
NEEDED = ("decode", "model", "features", "thumbnail")

LIMITS = DecodeLimits(MAX_PIXELS)
SIDE = Wanted().thumbnail_side


def measure(images: int = 24, rounds: int = 5, progress: Progress = silent) -> list[Figure]:
    """Measure the pass with the CPU model.

    Args:
        images: number of images of each format.
        rounds: number of times that everything is measured.
        progress: called after every round.

    Raises:
        ModelError: the weights are not installed.
    """
    embedder = load("sscd_disc_mixup_int8", device="cpu")
    figures = []
    for kind in FORMATS:
        encoded = list(ordered_map(partial(image, kind=kind), range(images), threads=thread_count(0)))
        figures += figures_of(f"{kind} of {WIDTH} x {HEIGHT}", encoded, embedder, rounds, progress)
    return figures


def figures_of(
    name: str, encoded: Sequence[bytes], embedder: Embedder, rounds: int, progress: Progress = silent
) -> list[Figure]:
    """Measure the pass over some readable images.

    Args:
        name: what the images are.
        encoded: the images.
        embedder: a CPU model.
        rounds: number of times that everything is measured.
        progress: called after every round.
    """
    decoded = [decode_image(data, limits=LIMITS) for data in encoded]
    pixels = [each.pixels for each in decoded if each.pixels is not None]
    inputs = [embedder.preprocess(each) for each in pixels]
    size = embedder.batch_size
    batches = [embedder.stack(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    stages: dict[str, Callable[[], object]] = {
        "decode": lambda: [decode_image(data, limits=LIMITS) for data in encoded],
        "listing": lambda: [describe("", 0, each) for each in decoded],
        "model": lambda: [embedder.preprocess(each) for each in pixels] + [embedder.run(batch) for batch in batches],
        "features": lambda: [extract_features(each) for each in pixels],
        "thumbnail": lambda: [encode_thumbnail(each, SIDE) for each in pixels],
    }
    measured = [(work, time.thread_time) for work in stages.values()]
    whole = partial(_ingest, encoded, embedder)
    *parts, total = measure_minima(rounds, progress, *measured, (whole, time.process_time))
    per_image = 1e3 / len(encoded)
    by_stage = {stage: seconds * per_image for stage, seconds in zip(stages, parts, strict=True)}
    needed = sum(by_stage[stage] for stage in NEEDED)
    return [
        *(Figure(f"pass, {stage} only, {name}", value, "core-ms") for stage, value in by_stage.items()),
        Figure(
            f"whole pass, {name}",
            total * per_image,
            "core-ms",
            " + ".join(NEEDED),
            needed,
            needed / (total * per_image),
            remark="sum over all threads",
        ),
    ]


def _ingest(encoded: Sequence[bytes], embedder: Embedder) -> None:
    wanted = Wanted(images=True, thumbnails=every_image, features=every_image, models={"model": ModelWanted(embedder)})
    made = ingest_shard(
        lambda columns: batches_of(encoded), wanted, first_row=0, threads=thread_count(0), limits=LIMITS
    )
    vectors = made.vectors["model"]
    assert len(vectors.ids) == len(np.unique(vectors.ids)) == len(encoded)
