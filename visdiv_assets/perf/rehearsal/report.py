"""The tables that `visdiv bench --rehearse` prints."""

from __future__ import annotations

from collections.abc import Sequence

from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.rehearsal import cost
from visdiv_assets.perf.rehearsal.growth import exponent, extrapolate, fixed_and_growing
from visdiv_assets.perf.rehearsal.rehearse import Rehearsal, stages_of
from visdiv_assets.perf.rehearsal.stages import STAGES, Outcome, Stage

NOT_REHEARSED = (
    "Not rehearsed: images are not decoded, embedded or compared by their pixels; contact sheets show a stand-in; "
    "copies are told by similarity (VISDIV_COPIES_BY=similarity)."
)


def report(rehearsal: Rehearsal) -> str:
    """All that a rehearsal says, as text."""
    parts = [stages(rehearsal), questions(rehearsal)]
    if len(rehearsal.sizes()) > 1:
        parts.append(growths(rehearsal))
        if rehearsal.rates:
            parts.append(costs(rehearsal.rates, at_whole(rehearsal)))
    return "\n\n".join([*parts, NOT_REHEARSED])


def stages(rehearsal: Rehearsal) -> str:
    """What each stage cost and found at each size."""
    headers = ("stage", "images", "seconds", "peak MB", "disk MB", "files", "planted", "found")
    rows = []
    for stage in STAGES:
        for outcome in stages_of(rehearsal.outcomes, stage.name):
            values = (outcome.seconds, outcome.peak_mb, outcome.disk_mb)
            counts = (outcome.files, outcome.planted, outcome.found)
            rows.append(
                (stage.name, f"{outcome.images:,}", *(_number(value) for value in values), *map(_count, counts))
            )
    return _table(rows, headers)


def questions(rehearsal: Rehearsal) -> str:
    """Return a table of the seconds that the SQL examples took."""
    sizes = rehearsal.sizes()
    rows = []
    for question in dict.fromkeys(answered.question for answered in rehearsal.answers):
        seconds = {one.images: one.seconds for one in rehearsal.answers if one.question == question}
        rows.append((question, *(_number(seconds.get(size), 2) for size in sizes)))
    return _table(rows, ("question", *(f"s at {size:,}" for size in sizes)))


def growths(rehearsal: Rehearsal) -> str:
    """Exponents over the sizes, and what follows for `FINEVISION_IMAGES` images."""
    headers = (
        "stage",
        "exponent of time",
        "of memory",
        "of disk",
        f"hours at {FINEVISION_IMAGES:,} by the exponent",
        "by its parts",
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
        rows.append((stage.name, *map(_number, (*exponents, by_exponent, by_parts, memory, disk), [2] * 7)))
    told = (
        f"Extrapolated to {FINEVISION_IMAGES:,}: by the exponent, from the largest size; by its parts, as what a stage "
        "costs anyway and what grows as its work does once images are many (as the square where all are compared with "
        "all, else in proportion), fitted to all sizes. Memory and disk by the exponent."
    )
    return f"{_table(rows, headers)}\n\n{told}"


def hours(stage: Stage, outcomes: Sequence[Outcome]) -> tuple[float | None, float | None]:
    """Hours of a stage at `FINEVISION_IMAGES`: by its exponent, and by its fixed and its growing part."""
    sizes, seconds = _sizes(outcomes), [outcome.seconds for outcome in outcomes]
    power = exponent(sizes, seconds)
    if power is None:
        return None, None
    fixed, growing = fixed_and_growing(sizes, seconds, stage.growth)
    return extrapolate(sizes, seconds, FINEVISION_IMAGES, power) / 3600, (
        fixed + growing * FINEVISION_IMAGES**stage.growth
    ) / 3600


def at_whole(rehearsal: Rehearsal) -> dict[str, float]:
    """Seconds of each stage at `FINEVISION_IMAGES`, the longer of the two that `hours` gives, by its asset."""
    found = {}
    for stage in STAGES:
        by_exponent, by_parts = hours(stage, stages_of(rehearsal.outcomes, stage.name))
        if by_exponent is not None and by_parts is not None:
            found[stage.asset] = max(by_exponent, by_parts) * 3600
    return found


def costs(rates: cost.Rates, seconds: dict[str, float]) -> str:
    """Hours of each stage at `FINEVISION_IMAGES` images on several machines."""
    headers = (f"hours for {FINEVISION_IMAGES:,}", *(machine.name for machine in cost.MACHINES), "on cores", "on GPUs")
    lines = cost.costs(rates, seconds)
    rows = [(line.stage, *map(_number, line.hours, [2] * 4), line.cores_from, line.gpus_from) for line in lines]
    together = [sum(line.hours[number] for line in lines) for number in range(len(cost.MACHINES))]
    rows.append(("together", *map(_number, together, [2] * 4), "", ""))
    told = (
        f"Rates measured here on {rates.cores} cores: {rates.listing_ms:.1f} core-ms an image to list, "
        f"{rates.decoding_ms:.1f} to decode and resize, {rates.embedding_ms:.1f} to embed, {rates.comparing_ms:.0f} a "
        "pair to compare, images of 1200 x 900 in JPEG. Of what was extrapolated the longer "
        "counts. More cores are taken to do as much more. No GPU was "
        f"measured: its hours are estimated from {cost.H200 / 1e12:.0f} TFLOP/s, of which a model is taken to reach "
        f"{cost.MODEL_SHARE:.0%}. Fetching is not counted."
    )
    return f"{_table(rows, headers)}\n\n{told}"


def _sizes(outcomes: Sequence[Outcome]) -> list[int]:
    return [outcome.images for outcome in outcomes]


def _values(outcomes: Sequence[Outcome]) -> list[list[float]]:
    """Seconds, peaks and disk of outcomes; 0, which has no exponent, where a peak is not known."""
    return [
        [outcome.seconds for outcome in outcomes],
        [outcome.peak_mb or 0.0 for outcome in outcomes],
        [outcome.disk_mb for outcome in outcomes],
    ]


def _number(value: float | None, places: int = 1) -> str:
    return "" if value is None else f"{value:,.{places if value < 100 else 0}f}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
