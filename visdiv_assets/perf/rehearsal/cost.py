"""Cost at FineVision's size on other machines: hours of each stage, from the rehearsals with images and with vectors.

Work in threads is assumed to scale with the number of cores; work in one thread takes the same time on every machine.
The hours on GPUs were not measured; they are estimates from the published peak performance of the card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.perf.images.rehearse import ImageRehearsal
from visdiv_assets.perf.joins import FINEVISION_IMAGES

#: Peak performance of an H200 in FLOP/s, in bfloat16 without sparsity, as published by NVIDIA.
H200_FLOP_PER_SECOND = 989e12
#: Assumed shares of the peak for a ResNet-50, and for large matrix products with a comparison of each element.
MODEL_SHARE, JOIN_SHARE = 0.25, 0.35
#: Operations of a ResNet-50 at 320 x 320; it has 4.1 billion multiply-adds at 224 x 224, of two operations each.
MODEL_FLOP = 2 * 4.1e9 * (320 / 224) ** 2
DIMENSION = 512


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


def costs(images: ImageRehearsal, seconds: dict[str, float]) -> list[Line]:
    """Compute the hours of each stage at FineVision's size.

    Args:
        images: the rehearsal with images, which has the rates of work on images and the candidate pairs per image.
        seconds: extrapolated seconds of the stages of the rehearsal with vectors at FineVision's size, by asset.
    """
    near, across, contamination = (
        seconds[name]
        for name in (LakeTable.NEAR_DUPLICATES, LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.CONTAMINATION)
    )
    rest = sum(value for name, value in seconds.items() if name not in _IN_THREADS)
    join_flop = FINEVISION_IMAGES**2 / 2 * 2 * DIMENSION
    measured = f"extrapolated from the rate measured on {images.images:,} images"
    rehearsed = "extrapolated from the rehearsal"
    as_cores = "as on the cores"
    decoding_ms = max(images.pass_ms - images.model_ms, 0.0)
    return [
        _line(
            "pass: decode, measure, thumbnails, features, SSCD",
            images.pass_ms * FINEVISION_IMAGES / 1e3,
            measured,
            "estimated: all but the model on the cores, or the model on the GPU, whichever is slower",
            # The cores and the GPU work at the same time.
            on_gpus=lambda machine: max(
                decoding_ms * FINEVISION_IMAGES / 1e3 / machine.cores,
                MODEL_FLOP * FINEVISION_IMAGES / (MODEL_SHARE * H200_FLOP_PER_SECOND * machine.gpus),
            ),
        ),
        _line(
            "near duplicates, within and across subsets",
            (near + across) * images.cores,
            rehearsed,
            f"estimated: the full product at {JOIN_SHARE:.0%} of the peak",
            on_gpus=lambda machine: join_flop / (JOIN_SHARE * H200_FLOP_PER_SECOND * machine.gpus),
        ),
        _line("contamination by 66 benchmarks", contamination * images.cores, rehearsed, as_cores),
        _line(
            f"verification of {images.pairs_per_image:.1f} pairs per image, as measured",
            images.comparing_ms * FINEVISION_IMAGES * images.pairs_per_image / 1e3,
            measured,
            as_cores,
        ),
        Line(
            "diversity, clusters, dropped rows, the DuckDB file",
            (rest / 3600,) * len(MACHINES),
            f"{rehearsed}, one thread",
            as_cores,
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
