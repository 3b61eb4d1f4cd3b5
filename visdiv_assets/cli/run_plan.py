"""The text of `visdiv run --plan`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import click

from visdiv_assets.cli.options import repeat_options
from visdiv_assets.cli.output import Form, echo_note, echo_tables
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.judge.cost import Cost, estimate_cost
from visdiv_assets.curation.judge.profiles import load_profile
from visdiv_assets.embedding.clip.checkpoints import is_on_disk
from visdiv_assets.errors import IncompleteError
from visdiv_assets.orchestration.plan.estimate import Estimate, estimate
from visdiv_assets.orchestration.plan.measured import measure
from visdiv_assets.orchestration.plan.recorded import read_recorded
from visdiv_assets.orchestration.plan.steps import steps
from visdiv_assets.orchestration.plan.what_runs import Part, Plan, plan_run
from visdiv_assets.progress import format_duration, heading
from visdiv_assets.publishing.row_formats import Rows
from visdiv_assets.settings import Settings, dagster_home
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.lake import Lake

#: Maximum number of subsets or benchmarks of one state that are listed by name.
MAX_NAMED = 20


def echo_plan(
    settings: Settings,
    source: Source,
    lake: Lake,
    benchmarks: Sequence[str],
    subsets: Sequence[str],
    form: Form,
    *,
    decided: Collection[str],
    ocr: bool,
) -> None:
    """Print what a run would make, and what that would take.

    Raises:
        StorageError: the disk has less space than the reserve.
        ModelError: the model cannot be loaded.
        IncompleteError: a subset or benchmark cannot be read.
    """
    disk_space.require_space(settings.data_folder, round(settings.disk_reserve_gigabytes * GIGABYTE))
    all_steps = steps(with_clip=_has_clip(settings, lake), with_ocr=ocr, ocr_sample=settings.ocr_sample)
    planned = plan_run(source, lake, benchmarks, subsets, all_steps, decided)
    if form == "text":
        echo_tables(form, _grouped_parts(planned))
    for part in planned.failing:
        echo_note(form, repeat_options(f"{part.name}: {part.problem}"))
    tables = [_parts(planned)]
    if made := sum(len(part.made) for part in planned.parts) + len(planned.corpus):
        recorded = read_recorded(dagster_home(settings))
        with heading("estimating"):
            estimated = estimate(planned, recorded, lambda: measure(settings, source, planned.parts), lake)
        tables += [_estimates(estimated), _totals(settings, estimated)]
        if form == "text":
            click.echo()
            echo_tables(form, _readable_estimates(estimated))
        for line in _needs(settings, planned, estimated):
            echo_note(form, repeat_options(line))
    else:
        echo_note(form, "\nNothing to make: everything is up to date.")
    if made or settings.judge_url:
        for line in _ratings(settings, lake, subsets):
            echo_note(form, line)
    if form != "text":
        echo_tables(form, *tables)
    if failing := planned.failing:
        raise IncompleteError(
            f"{len(failing)} of {len(planned.parts)} runs would fail ({', '.join(part.name for part in failing)}): the "
            f"lines above say why{'; the others can run' if made else ''}"
        )


def _has_clip(settings: Settings, lake: Lake) -> bool:
    """Return whether a run would find CLIP weights; weights on the Hub count only once they are downloaded."""
    return bool(lake.partitions(LakeTable.CLIP_IMAGE_EMBEDDINGS)) or (
        bool(settings.clip_model) and is_on_disk(settings.clip_model)
    )


def _parts(planned: Plan) -> Rows:
    columns = ("kind", "name", "state", "images", "size_bytes", "problem")
    return Rows("parts", columns, [[getattr(part, column) for column in columns] for part in planned.parts])


def _grouped_parts(planned: Plan) -> Rows:
    rows = []
    for kind in (Kind.BENCHMARK, Kind.SUBSET):
        of_kind = [part for part in planned.parts if part.kind is kind]
        states = Counter(part.state for part in of_kind)
        for state in states:
            parts = [part for part in of_kind if part.state == state]
            images, size = sum(part.images for part in parts), format_bytes(sum(part.size_bytes for part in parts))
            rows.append([kind.value, f"{len(parts)} {state}", images, size, _names(parts)])
    return Rows("parts", ("", "state", "images", "files", ""), rows)


def _names(parts: Sequence[Part]) -> str:
    names = [part.name for part in parts[:MAX_NAMED]]
    return ", ".join(names) + (f", and {len(parts) - MAX_NAMED} more" if len(parts) > MAX_NAMED else "")


def _estimates(estimated: Estimate) -> Rows:
    return Rows("estimates", ("to_make", "stages", "images", "seconds", "rate"), estimated.lines)


def _readable_estimates(estimated: Estimate) -> Rows:
    rows = [[line.group, line.made, line.images, _time(line.seconds), line.basis] for line in estimated.lines]
    return Rows("estimates", ("to make", "stages", "images", "time", "rate"), rows)


def _totals(settings: Settings, estimated: Estimate) -> Rows:
    free = disk_space.space_of(settings.data_folder).free
    columns = ("seconds", "is_complete", "peak_bytes", "disk_bytes", "free_bytes")
    values = (estimated.seconds, estimated.is_complete, estimated.peak_bytes, estimated.disk_bytes, free)
    return Rows("totals", columns, [values])


def _needs(settings: Settings, planned: Plan, estimated: Estimate) -> Iterator[str]:
    at_least = "" if estimated.is_complete else "at least "
    space = disk_space.space_of(settings.data_folder)
    reserve = disk_space.reserve_on(space, round(settings.disk_reserve_gigabytes * GIGABYTE))
    yield ""
    yield f"time    {at_least}{format_duration(estimated.seconds)} on this machine"
    yield f"memory  {format_bytes(estimated.peak_bytes)} at the peak ({estimated.peak_basis})"
    yield f"disk    {format_bytes(estimated.disk_bytes)} ({estimated.disk_basis}); {format_bytes(space.free)} free"
    needed = estimated.disk_bytes if not settings.is_remote else 0.0
    if settings.source.startswith("hf://"):
        files = sum(part.size_bytes for part in planned.parts if part.made)
        kept = min(files, settings.download_cache_gigabytes * GIGABYTE)
        yield f"network up to {format_bytes(files)} to download, of which {format_bytes(kept)} is kept"
        needed += kept
    if needed > space.free - reserve:
        yield (
            f"warning: the disk of {settings.data_folder} is too small: {format_bytes(needed)} is needed, and "
            f"{format_bytes(max(space.free - reserve, 0))} is free beside the reserve of {format_bytes(reserve)}"
        )


def _ratings(settings: Settings, lake: Lake, subsets: Sequence[str]) -> Iterator[str]:
    """Say what the run would ask of the judge."""
    if not settings.judge_url:
        yield "judge   none: VISDIV_JUDGE_URL is not set, so only turns that the source has rated have ratings"
        return
    profile = load_profile(settings.judge_profile)
    total, unknown = Cost(), 0
    for subset in subsets:
        cost = estimate_cost(
            lake,
            subset,
            profile,
            settings.judge_model,
            source_first=settings.ratings_from != "judge",
            decoding=settings.decoding,
        )
        unknown += cost is None
        total = total.plus(cost or Cost())
    yield (
        f"judge   about {total.requests:,} requests about {total.turns:,} turns, {total.tokens_in:,} tokens in and "
        f"{total.tokens_out:,} out, without retries; answers that are known are not asked again"
    )
    if unknown:
        yield f"        {unknown} subsets are not in it: their turns are counted once they are stored"
    if settings.judge_budget:
        yield f"        at most {settings.judge_budget} for each subset (VISDIV_JUDGE_BUDGET)"


def _time(seconds: float | None) -> str:
    return "?" if seconds is None else format_duration(seconds)


def format_bytes(size: float) -> str:
    """Return a size with a decimal unit and about two digits: "45 MB", "1.2 GB"."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= 0.95 * factor:
            return f"{size / factor:.1f} {unit}" if size < 9.95 * factor else f"{size / factor:,.0f} {unit}"
    return f"{size / 1e3:,.0f} kB"
