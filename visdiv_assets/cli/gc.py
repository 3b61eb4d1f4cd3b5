"""The commands that look after an installation: `visdiv gc` and `visdiv doctor`.

Belongs here: their arguments, and what is printed. Does not: what is garbage (`storage.garbage`), or what is checked
(`doctor`, `state`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from visdiv_assets.corpus.tables import CORPUS_PARTITION
from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.orchestration.doctor import Check, Finding, Level, examine
from visdiv_assets.settings import GRACE_DAYS, Settings, dagster_home, load_settings

if TYPE_CHECKING:
    from visdiv_assets.storage.gc.units import Findings, Garbage, Request


@click.command()
@click.option("--delete", is_flag=True, help="Remove what the list shows; without it nothing is removed.")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=GRACE_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Age of units that no partition names: a run that was killed goes on from younger ones.",
)
@click.option("--vanished", is_flag=True, help="Also what belongs to subsets and benchmarks that the source lost.")
def gc(delete: bool, days: float, vanished: bool) -> None:
    """List what nobody needs any more below VISDIV_DATA, and remove it with --delete.

    That is what newer results have superseded, units of runs that were killed and not started again, and temporary
    files. What a partition's manifest names never goes, but that of subsets that the source no longer has with
    --vanished. On object storage, where runs of other machines cannot be seen, nothing goes that is not an hour old.
    """
    settings = load_settings()
    held = _held_names(settings)
    if delete:
        _refuse_while_runs_write(settings)
    from visdiv_assets.storage.gc.leftovers import collect_copies, collect_leftovers
    from visdiv_assets.storage.gc.units import Request, collect
    from visdiv_assets.wiring import open_lake

    request = Request(time.time(), days * 86_400, held, vanished, delete)
    of_lake = collect(open_lake(settings), request)
    copies = collect_copies(settings.vectors_folder, of_lake.named, request)
    _print_findings((of_lake, collect_leftovers(settings.data_folder, request), copies), request)


def _held_names(settings: Settings) -> Collection[str] | None:
    """Names of partitions that the source has, and of those that concern all subsets; None if that is not known."""
    from visdiv_assets.wiring import open_source

    try:
        source = open_source(settings)
        subsets = source.subsets()
        benchmarks = source.benchmarks()
    except VisdivError as error:
        click.echo(f"The source cannot be opened, so what it lost is not looked for: {error}", err=True)
        return None
    if not subsets:
        click.echo(f"{settings.source} holds no subset at all, so nothing is taken for lost", err=True)
        return None
    return {*subsets, *benchmarks, CORPUS_PARTITION}


def _refuse_while_runs_write(settings: Settings) -> None:
    from visdiv_assets.orchestration import sessions

    home = dagster_home(settings)
    if sessions.running(home):
        raise ConfigError("a `visdiv run` is at work on this state: wait for its end, then start `visdiv gc` again")
    from visdiv_assets.orchestration import state

    if under_way := state.runs_under_way(home):
        raise ConfigError(
            f"runs are under way ({', '.join(under_way[:3])}): wait for their end, or end them in `visdiv ui`, then "
            "start `visdiv gc` again"
        )


def _print_findings(found: tuple[Findings, ...], request: Request) -> None:
    from visdiv_assets.storage.gc.units import TEMPORARY_AGE

    garbage = [part for findings in found for part in findings.garbage]
    vanished = [part for findings in found for part in findings.vanished]
    if garbage:
        click.echo(_listed(garbage))
    for line in (line for findings in found for line in findings.left_alone):
        click.echo(f"left alone: {line}")
    young, young_bytes = (sum(getattr(part, name) for part in found) for name in ("young_files", "young_bytes"))
    if young:
        age = f"{request.grace / 86_400:g} days" if request.grace >= TEMPORARY_AGE else "an hour"
        click.echo(f"{young} files, {_megabytes(young_bytes)} MB, that no partition names stay until {age} old.")
    if vanished:
        names = sorted({part.partition for part in vanished})
        size = sum(part.size_bytes for part in vanished)
        click.echo(
            f"{_megabytes(size)} MB belong to what the source no longer has ({', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}): --vanished removes it, too."
        )
    files, size = sum(part.files for part in garbage), sum(part.size_bytes for part in garbage)
    if request.delete:
        click.echo(f"Removed {files} files, {_megabytes(size)} MB.")
    elif garbage:
        options = f"{' --vanished' if request.with_vanished else ''}"
        if request.grace != GRACE_DAYS * 86_400:
            options += f" --older-than {request.grace / 86_400:g}"
        click.echo(
            f"{files} files, {_megabytes(size)} MB, can go. Nothing was removed: `visdiv gc{options} --delete` does."
        )
    else:
        click.echo("Nothing can go.")


def _listed(garbage: list[Garbage]) -> str:
    from tabulate import tabulate

    rows = [(part.table, part.partition, part.files, _megabytes(part.size_bytes), part.why) for part in garbage]
    # Left alone, tabulate shows a subset named 1e3 as 1000.
    return tabulate(rows, ["table", "partition", "files", "MB", "why"], tablefmt="simple", disable_numparse=[0, 1, 4])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3f}"


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check the installation, the source, the model, the data folder and Dagster's state, and say what to do.

    One line a check: ok, warning (runs succeed) or problem (they do not). Nothing is changed, and no weights are
    fetched. Ends with 1 if there is a problem.
    """
    counts = dict.fromkeys(Level, 0)
    for finding in _findings():
        counts[finding.level] += 1
        click.echo(f"{finding.level:<8} {finding.name:<12} {finding.text}")
    problems, warnings = counts[Level.PROBLEM], counts[Level.WARNING]
    click.echo(
        f"{sum(counts.values())} checks: {problems} problem{'s' * (problems != 1)}, "
        f"{warnings} warning{'s' * (warnings != 1)}"
    )
    context.exit(1 if problems else 0)


def _findings() -> Iterator[Finding]:
    from visdiv_assets.orchestration.doctor.installation import check_packages, check_python, check_settings

    yield from examine([("python", check_python), ("packages", check_packages)])
    try:
        settings = load_settings()
    except VisdivError as error:
        # Whatever is looked at next depends on them.
        yield Finding("settings", Level.PROBLEM, str(error))
        return
    yield from examine([("settings", partial(check_settings, settings)), *_checks(settings)])


def _checks(settings: Settings) -> Iterator[tuple[str, Check]]:
    from visdiv_assets.orchestration.doctor import data, models, source

    yield "source", partial(source.check_source, settings)
    yield "device", partial(models.check_device, settings)
    yield "weights", partial(models.check_weights_file, settings)
    yield "model", partial(models.check_model, settings)
    yield "disk", partial(data.check_space, settings)
    yield "data folder", partial(data.check_folder, settings)
    yield "storage", partial(data.check_storage, settings)
    yield "lake", partial(data.check_lake, settings)
    yield "warehouse", partial(data.check_warehouse, settings)
    yield "garbage", partial(data.check_garbage, settings)
    from visdiv_assets.orchestration import state

    yield from state.checks(dagster_home(settings))
