"""The steps of the check, in the order of their use to a reader who stops it early."""

from __future__ import annotations

import math
from dataclasses import replace

from visdiv_assets.perf import moments
from visdiv_assets.perf.gpu.all_devices import measure_all_devices
from visdiv_assets.perf.gpu.check import Step
from visdiv_assets.perf.gpu.embedding import measure_clip_images, measure_clip_texts, measure_sscd
from visdiv_assets.perf.gpu.joins import measure_join, measure_large_join
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.gpu.verification import measure_verification
from visdiv_assets.perf.measuring import Figure


def measure_moments(setup: Setup) -> list[Figure]:
    """Measure moments, which the cores compute, whatever the device."""
    figures = moments.measure(setup.sizes.vectors, rounds=1)
    return [replace(figure, remark=f"{figure.remark}; on the cores, they have no GPU code") for figure in figures]


def steps_on(device: str) -> dict[str, Step]:
    """Return the steps for a device; without a GPU only the time of the whole check is limited, as cores differ."""
    return STEPS if device != "cpu" else {name: step._replace(seconds=math.inf) for name, step in STEPS.items()}


STEPS = {
    "sscd": Step(90, measure_sscd),
    "join": Step(90, measure_join),
    "clip_images": Step(75, measure_clip_images),
    "cuda_all": Step(90, measure_all_devices),
    "large_join": Step(150, measure_large_join),
    "verification": Step(45, measure_verification),
    "moments": Step(60, measure_moments),
    "clip_texts": Step(45, measure_clip_texts),
}
