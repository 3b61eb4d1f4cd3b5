"""Cost at FineVision's size on other machines: hours of each stage, from measured and estimated rates.

Work in threads is assumed to scale with the number of cores; work in one thread takes the same time on every machine.
The hours on GPUs were not measured; they are estimates from the published peak performance of the card.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import list_images
from visdiv_assets.perf import embedding, verification
from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import thread_count

#: Peak performance of an H200 in FLOP/s, in bfloat16 without sparsity, as published by NVIDIA.
H200_FLOP_PER_SECOND = 989e12
#: Assumed shares of the peak for a ResNet-50, and for large matrix products with a comparison of each element.
MODEL_SHARE, JOIN_SHARE = 0.25, 0.35
#: Operations of a ResNet-50 at 320 x 320; it has 4.1 billion multiply-adds at 224 x 224, of two operations each.
MODEL_FLOP = 2 * 4.1e9 * (320 / 224) ** 2
DIMENSION = 512

#: Candidate pairs to verify per image; at most `VISDIV_CANDIDATES_KEPT`, 16.
PAIRS_PER_IMAGE = 1.0

#: Format of the measured images.
KIND = "JPEG"


@dataclass(frozen=True)
class Rates:
    """Cost of the work on single images on this machine, measured on textured images of 1200 x 900.

    Attributes:
        cores: number of cores that this process may use, in the rehearsal too.
        listing_ms: core-milliseconds to decode an image completely and compute its hashes and measures.
        decoding_ms: core-milliseconds to decode and resize an image for the model.
        embedding_ms: core-milliseconds from an image's bytes to its vector, on the CPU.
        comparing_ms: core-milliseconds to verify a pair, mean over copies and different images.
    """

    cores: int
    listing_ms: float
    decoding_ms: float
    embedding_ms: float
    comparing_ms: float

    def row(self) -> dict[str, Any]:
        """Return the rates as a row of the JSON file."""
        return asdict(self)


class Machine(NamedTuple):
    """A machine: its number of cores and of GPUs."""

    name: str
    cores: int
    gpus: int


MACHINES = (
    Machine("2 cores", 2, 0),
    Machine("16 cores", 16, 0),
    Machine("1 H200, 16 cores", 16, 1),
    Machine("8 H200, 128 cores", 128, 8),
)


class Line(NamedTuple):
    """Hours of a stage on each of `MACHINES`, and the source of the hours on cores and on GPUs."""

    stage: str
    hours: tuple[float, ...]
    cores_from: str
    gpus_from: str


def measure(images: int = 24, progress: Progress = silent) -> Rates:
    """Measure the rates on this machine; takes about a minute.

    Args:
        images: number of images to decode and embed.
        progress: called after each of three measurements.
    """
    encoded = [embedding.image(seed, KIND) for seed in range(images)]
    listing = _listing_ms(encoded)
    progress(1)
    figures = {figure.name: figure.ours for figure in embedding.measure(images, rounds=1)}
    of = f"{KIND} of {embedding.WIDTH} x {embedding.HEIGHT}"
    progress(1)
    compared = [figure.ours for figure in verification.measure(images=4)]
    progress(1)
    cores = thread_count(0)
    return Rates(
        cores,
        listing,
        figures[f"decode and resize only, {of}"],
        figures[f"whole stream, {of}"],
        cores * 1e3 * sum(1 / rate for rate in compared) / len(compared),
    )


def _listing_ms(encoded: Sequence[bytes]) -> float:
    """Measure the core-milliseconds per image of `imaging.listing`, in one thread."""
    images = pa.array([[{"bytes": data, "path": None}] for data in encoded])
    batch = pa.record_batch({"images": images})
    listed = list_images([batch.slice(0, 1)], first_row=0, threads=1, limits=DecodeLimits(embedding.MAX_PIXELS))
    # The first image also pays for imports, so it is not measured.
    assert sum(part.num_rows for part in listed) == 1
    begin = time.process_time()
    for _ in list_images([batch], first_row=0, threads=1, limits=DecodeLimits(embedding.MAX_PIXELS)):
        pass
    return (time.process_time() - begin) * 1e3 / len(encoded)


def costs(rates: Rates, seconds: dict[str, float], *, compared: float = PAIRS_PER_IMAGE) -> list[Line]:
    """Compute the hours of each stage at FineVision's size.

    Args:
        rates: the measured rates.
        seconds: extrapolated seconds of the rehearsal's stages at FineVision's size, by asset.
        compared: number of pairs to verify per image.
    """
    near, across, contamination = (
        seconds[name]
        for name in (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.CONTAMINATION)
    )
    rest = sum(value for name, value in seconds.items() if name not in _IN_THREADS)
    join_flop = FINEVISION_IMAGES**2 / 2 * 2 * DIMENSION
    measured, extrapolated = "measured rate", "rehearsal, extrapolated"
    return [
        _line(
            "listing: decode, hash, measure",
            rates.listing_ms * FINEVISION_IMAGES / 1e3,
            measured,
            "as on the cores",
        ),
        _line(
            "SSCD vectors",
            rates.embedding_ms * FINEVISION_IMAGES / 1e3,
            measured,
            "estimated: decoding on the cores or the model on the GPU, whichever is slower",
            # Decoding on the cores and the model on the GPU run at the same time.
            on_gpus=lambda machine: max(
                rates.decoding_ms * FINEVISION_IMAGES / 1e3 / machine.cores,
                MODEL_FLOP * FINEVISION_IMAGES / (MODEL_SHARE * H200_FLOP_PER_SECOND * machine.gpus),
            ),
        ),
        _line(
            "near duplicates, within and across subsets",
            (near + across) * rates.cores,
            extrapolated,
            f"estimated: the full product at {JOIN_SHARE:.0%} of the peak",
            on_gpus=lambda machine: join_flop / (JOIN_SHARE * H200_FLOP_PER_SECOND * machine.gpus),
        ),
        _line("contamination by 66 benchmarks", contamination * rates.cores, extrapolated, "as on the cores"),
        _line(
            f"verification of {compared:g} pair per image",
            rates.comparing_ms * FINEVISION_IMAGES * compared / 1e3,
            measured,
            "as on the cores",
        ),
        Line(
            "diversity, clusters, dropped rows, the DuckDB file",
            (rest / 3600,) * len(MACHINES),
            f"{extrapolated}, one thread",
            "as on the cores",
        ),
    ]


#: Assets whose work runs in threads or on GPUs.
_IN_THREADS = (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.CONTAMINATION)


def _line(
    stage: str, core_seconds: float, cores_from: str, gpus_from: str, on_gpus: Callable[[Machine], float] | None = None
) -> Line:
    hours = []
    for machine in MACHINES:
        by_cores = core_seconds / machine.cores
        hours.append((on_gpus(machine) if on_gpus and machine.gpus else by_cores) / 3600)
    return Line(stage, tuple(hours), cores_from, gpus_from)
