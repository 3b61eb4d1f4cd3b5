"""What FineVision's size costs on other machines: hours by stage, from rates that are measured and some that are not.

On cores, what is done in threads is taken to be done on all of them alike, and what one thread does takes as long
anywhere. On GPUs nothing was measured: those hours are estimates from the card's published peak.
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

#: Peak of an H200 in bfloat16 without sparsity, as NVIDIA publishes it, in FLOP/s.
H200 = 989e12
#: Shares of it that are taken to be reached: by a ResNet-50, and by large matrix products with a test of each element.
MODEL_SHARE, JOIN_SHARE = 0.25, 0.35
#: A ResNet-50 at 320 x 320: 4.1 billion multiply-adds at 224 x 224, two operations each.
MODEL_FLOP = 2 * 4.1e9 * (320 / 224) ** 2
DIMENSION = 512

#: Pairs of images whose pixels are compared, for each image; at most `VISDIV_CANDIDATES_KEPT`, 16.
COMPARED = 1.0

#: Of every size of image, bytes like a photograph's.
KIND = "JPEG"


@dataclass(frozen=True)
class Rates:
    """What the work on images costs here, measured on textured images of 1200 x 900.

    Attributes:
        cores: that this process may use; the rehearsal, too, ran on so many.
        listing_ms: core-milliseconds to decode an image in full, hash it and take its signals and fingerprints.
        decoding_ms: core-milliseconds to decode and resize it for the model.
        embedding_ms: core-milliseconds of the whole stream to its vector, on the CPU.
        comparing_ms: core-milliseconds to compare the pixels of a pair, mean of copies and others.
    """

    cores: int
    listing_ms: float
    decoding_ms: float
    embedding_ms: float
    comparing_ms: float

    def row(self) -> dict[str, Any]:
        """The rates as a row of the JSON file."""
        return asdict(self)


class Machine(NamedTuple):
    """What is there: cores, and GPUs."""

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
    """Hours of a stage on each of `MACHINES`, and what they were made from."""

    stage: str
    hours: tuple[float, ...]
    cores_from: str
    gpus_from: str


def measure(images: int = 24, progress: Progress = silent) -> Rates:
    """Measure the rates on this machine; takes about a minute.

    Args:
        images: how many are decoded and embedded.
        progress: told of the three measurements.
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
        figures[f"decode and resize alone, {of}"],
        figures[f"the stream, {of}"],
        cores * 1e3 * sum(1 / rate for rate in compared) / len(compared),
    )


def _listing_ms(encoded: Sequence[bytes]) -> float:
    """Core-milliseconds of an image in `imaging.listing`, in one thread."""
    images = pa.array([[{"bytes": data, "path": None}] for data in encoded])
    batch = pa.record_batch({"images": images})
    listed = list_images([batch.slice(0, 1)], first_row=0, threads=1, limits=DecodeLimits(embedding.MAX_PIXELS))
    # The first image pays for imports.
    assert sum(part.num_rows for part in listed) == 1
    begin = time.process_time()
    for _ in list_images([batch], first_row=0, threads=1, limits=DecodeLimits(embedding.MAX_PIXELS)):
        pass
    return (time.process_time() - begin) * 1e3 / len(encoded)


def costs(rates: Rates, seconds: dict[str, float], *, compared: float = COMPARED) -> list[Line]:
    """Hours of each stage at FineVision's size.

    Args:
        rates: measured.
        seconds: of the stages of the rehearsal at FineVision's size, extrapolated, by their assets.
        compared: pairs for each image whose pixels are compared.
    """
    near, across, leaks = (
        seconds[name]
        for name in (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.CONTAMINATION)
    )
    rest = sum(value for name, value in seconds.items() if name not in _IN_THREADS)
    join_flop = FINEVISION_IMAGES**2 / 2 * 2 * DIMENSION
    measured, extrapolated = "measured rate", "rehearsal, extrapolated"
    return [
        _line(
            "listing: decode, hash, fingerprints",
            rates.listing_ms * FINEVISION_IMAGES / 1e3,
            measured,
            "as on the cores",
        ),
        _line(
            "SSCD vectors",
            rates.embedding_ms * FINEVISION_IMAGES / 1e3,
            measured,
            "estimated: decoding on the cores or the model on the GPU, whichever is slower",
            # What decodes and what multiplies work side by side.
            on_gpus=lambda machine: max(
                rates.decoding_ms * FINEVISION_IMAGES / 1e3 / machine.cores,
                MODEL_FLOP * FINEVISION_IMAGES / (MODEL_SHARE * H200 * machine.gpus),
            ),
        ),
        _line(
            "near duplicates, within and across subsets",
            (near + across) * rates.cores,
            extrapolated,
            f"estimated: the full product at {JOIN_SHARE:.0%} of the peak",
            on_gpus=lambda machine: join_flop / (JOIN_SHARE * H200 * machine.gpus),
        ),
        _line("contamination by 66 benchmarks", leaks * rates.cores, extrapolated, "as on the cores"),
        _line(
            f"comparing pixels of {compared:g} pair for each image",
            rates.comparing_ms * FINEVISION_IMAGES * compared / 1e3,
            measured,
            "as on the cores",
        ),
        Line(
            "diversity, clusters, rows that go, the DuckDB file",
            (rest / 3600,) * len(MACHINES),
            f"{extrapolated}, in one thread",
            "as on the cores",
        ),
    ]


#: Assets whose work is spread over threads or GPUs.
_IN_THREADS = (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.CONTAMINATION)


def _line(
    stage: str, core_seconds: float, cores_from: str, gpus_from: str, on_gpus: Callable[[Machine], float] | None = None
) -> Line:
    hours = []
    for machine in MACHINES:
        by_cores = core_seconds / machine.cores
        hours.append((on_gpus(machine) if on_gpus and machine.gpus else by_cores) / 3600)
    return Line(stage, tuple(hours), cores_from, gpus_from)
