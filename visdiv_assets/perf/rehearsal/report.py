"""The tables that `visdiv perf --rehearse` prints."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.perf.images.rehearse import ImageRehearsal
from visdiv_assets.perf.images.report import report as image_report
from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.rehearsal import cost
from visdiv_assets.perf.rehearsal.growth import exponent, extrapolate, fixed_and_growing
from visdiv_assets.perf.rehearsal.rehearse import Rehearsal, stages_of
from visdiv_assets.perf.rehearsal.stages import STAGES, Outcome, Stage

NOT_REHEARSED = (
    "Not rehearsed with vectors: images are not decoded, embedded or verified; pairs count as copies by similarity "
    "(VISDIV_COPIES_BY=similarity)."
)


def report(rehearsal: Rehearsal) -> str:
    """Return all tables of a rehearsal as text."""
    parts = [image_report(rehearsal.with_images)] if rehearsal.with_images else []
    if not rehearsal.outcomes:
        return "\n\n".join(parts)
    parts += [stages(rehearsal), questions(rehearsal)]
    if len(rehearsal.sizes()) > 1:
        parts.append(growths(rehearsal))
        if rehearsal.with_images:
            parts.append(costs(rehearsal.with_images, at_full_size(rehearsal)))
    return "\n\n".join([*parts, NOT_REHEARSED])


def stages(rehearsal: Rehearsal) -> str:
    """Return the table of the cost and result of each stage at each size."""
    headers = ("stage", "images", "seconds", "peak MB", "disk MB", "files", "planted", "found")
    rows = []
    for stage in STAGES:
        for outcome in stages_of(rehearsal.outcomes, stage.name):
            values = (outcome.seconds, outcome.peak_mb, outcome.disk_mb)
            counts = (outcome.files, outcome.planted, outcome.found)
            rows.append(
                (stage.name, f"{outcome.images:,}", *(_format(value) for value in values), *map(_format_count, counts))
            )
    return _table(rows, headers)


def questions(rehearsal: Rehearsal) -> str:
    """Return a table of the seconds that the SQL examples took."""
    sizes = rehearsal.sizes()
    rows = []
    for question in dict.fromkeys(answered.question for answered in rehearsal.answers):
        seconds = {one.images: one.seconds for one in rehearsal.answers if one.question == question}
        rows.append((question, *(_format(seconds.get(size), 2) for size in sizes)))
    return _table(rows, ("question", *(f"s at {size:,}" for size in sizes)))


def growths(rehearsal: Rehearsal) -> str:
    """Return the table of exponents over the sizes, and of the extrapolation to `FINEVISION_IMAGES` images."""
    headers = (
        "stage",
        "exponent of time",
        "of memory",
        "of disk",
        f"hours at {FINEVISION_IMAGES:,} by the exponent",
        "by parts",
        "GB of memory",
        "GB of disk",
    )
    rows = []
    for stage in STAGES:
        outcomes = stages_of(rehearsal.outcomes, stage.name)
        exponents = [exponent(_sizes(outcomes), values) for values in _values(outcomes)]
        by_exponent, by_parts = hours(stage, outcomes)
        memory, disk = (
            None if power is None else extrapolate(_sizes(outcomes), values, FINEVISION_IMAGES, max(power, 0.0)) / 1e3
            for power, values in zip(exponents[1:], _values(outcomes)[1:], strict=True)
        )
        rows.append((stage.name, *map(_format, (*exponents, by_exponent, by_parts, memory, disk), [2] * 7)))
    note = (
        f"Extrapolated to {FINEVISION_IMAGES:,}: by the exponent, from the largest size; by parts, as the sum of a "
        "fixed cost and a cost that grows as the work does for many images (quadratically if all pairs are compared, "
        "else linearly), fitted to all sizes. Memory and disk are extrapolated by the exponent."
    )
    return f"{_table(rows, headers)}\n\n{note}"


def hours(stage: Stage, outcomes: Sequence[Outcome]) -> tuple[float | None, float | None]:
    """Extrapolate the hours of a stage to `FINEVISION_IMAGES`: by its exponent, and by its fixed and growing parts."""
    sizes, seconds = _sizes(outcomes), [outcome.seconds for outcome in outcomes]
    power = exponent(sizes, seconds)
    if power is None:
        return None, None
    fixed, growing = fixed_and_growing(sizes, seconds, stage.growth)
    return extrapolate(sizes, seconds, FINEVISION_IMAGES, power) / 3600, (
        fixed + growing * FINEVISION_IMAGES**stage.growth
    ) / 3600


def at_full_size(rehearsal: Rehearsal) -> dict[str, float]:
    """Return the seconds of each stage at `FINEVISION_IMAGES`, by asset: the longer of the two results of `hours`."""
    found = {}
    for stage in STAGES:
        if stage.after_change:
            continue
        by_exponent, by_parts = hours(stage, stages_of(rehearsal.outcomes, stage.name))
        if by_exponent is not None and by_parts is not None:
            found[stage.asset] = max(by_exponent, by_parts) * 3600
    return found


def costs(images: ImageRehearsal, seconds: dict[str, float]) -> str:
    """Return the table of hours of each stage at `FINEVISION_IMAGES` images on several machines."""
    headers = (f"hours for {FINEVISION_IMAGES:,}", *(machine.name for machine in cost.MACHINES), "on cores", "on GPUs")
    lines = cost.costs(images, seconds)
    rows = [(line.stage, *map(_format, line.hours, [2] * 4), line.cores_from, line.gpus_from) for line in lines]
    total = [sum(line.hours[index] for line in lines) for index in range(len(cost.MACHINES))]
    rows.append(("total", *map(_format, total, [2] * 4), "", ""))
    note = (
        f"Measured on {images.cores} cores in the rehearsal of {images.images:,} images, in core-ms: "
        f"{images.pass_ms:.1f} per image for the pass, of which the model alone {images.model_ms:.1f}, and "
        f"{images.comparing_ms:.0f} to verify a pair. A larger corpus has more candidate pairs per image, up to the "
        "budget of VISDIV_CANDIDATES_KEPT for subsets and again for benchmarks. Of the two extrapolations, the longer "
        "counts. Time is assumed to be inversely proportional to the number of cores. No GPU was measured: "
        f"its hours are estimated from {cost.H200_FLOP_PER_SECOND / 1e12:.0f} TFLOP/s, of which a model is assumed to "
        f"reach {cost.MODEL_SHARE:.0%}. Downloads are not counted."
    )
    return f"{_table(rows, headers)}\n\n{note}"


def _sizes(outcomes: Sequence[Outcome]) -> list[int]:
    return [outcome.images for outcome in outcomes]


def _values(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """Return seconds, peaks and disk sizes; an unknown peak is 0, which has no exponent."""
    return [
        [outcome.seconds for outcome in outcomes],
        [outcome.peak_mb or 0.0 for outcome in outcomes],
        [outcome.disk_mb for outcome in outcomes],
    ]


def _format(value: float | None, places: int = 1) -> str:
    return "" if value is None else f"{value:,.{places if value < 100 else 0}f}"


def _format_count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
