"""The command `visdiv gc`."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import pass_settings, repeat_options
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.settings import GRACE_DAYS, Settings, dagster_home

if TYPE_CHECKING:
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.storage.gc.units import Findings, Garbage, Request

DAY = 86_400

EXAMPLES = """\
\b
Examples:
  visdiv gc
  visdiv gc --delete
  visdiv gc --vanished --older-than 0 --delete
"""


@click.command(epilog=EXAMPLES)
@click.option("--delete", is_flag=True, help="Delete the listed files; without it nothing is deleted.")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=GRACE_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Keep unreferenced units younger than DAYS, so that interrupted runs can resume.",
)
@click.option("--vanished", is_flag=True, help="Include subsets and benchmarks that the source no longer has.")
@format_option
@pass_settings
def gc(settings: Settings, delete: bool, days: float, vanished: bool, form: Form) -> None:
    """List unreferenced files under VISDIV_DATA, and delete them with --delete.

    These are superseded results, units of interrupted runs, and temporary files. Files that a partition's manifest
    names are kept, unless the source no longer has the partition and --vanished is given. On object storage, where runs
    on other machines cannot be detected, files younger than an hour are always kept.
    """
    held = _held_names(settings)
    if delete:
        _refuse_during_runs(settings)
    from visdiv_assets.storage.gc.leftovers import collect_copies, collect_leftovers
    from visdiv_assets.storage.gc.units import Request, collect
    from visdiv_assets.wiring import open_lake

    request = Request(time.time(), days * DAY, held, vanished, delete)
    of_lake = collect(open_lake(settings), request)
    copies = collect_copies(settings.vectors_folder, of_lake.referenced, request)
    _print_findings((of_lake, collect_leftovers(settings.data_folder, request), copies), request, form)
    if vanished and held is not None:
        _remove_keys(settings, held, form, delete=delete)


def _held_names(settings: Settings) -> Collection[str] | None:
    """Return the names of all partitions that can still be made; None if the source cannot tell."""
    from visdiv_assets.corpus.tables import CORPUS_PARTITION
    from visdiv_assets.wiring import open_source

    try:
        source = open_source(settings)
        subsets = source.subsets()
        benchmarks = source.benchmarks()
    except VisdivError as error:
        click.echo(
            f"Partitions that the source no longer has are not looked for, since it cannot be opened: {error}", err=True
        )
        return None
    if not subsets:
        click.echo(
            f"Partitions that the source no longer has are not looked for, since {settings.source} has no subsets",
            err=True,
        )
        return None
    return {*subsets, *benchmarks, CORPUS_PARTITION}


def _refuse_during_runs(settings: Settings) -> None:
    from visdiv_assets.orchestration import sessions, state

    home = dagster_home(settings)
    # It takes seconds: sessions come last, so that one that begins meanwhile is seen.
    active = state.active_runs(home)
    if sessions.running(home):
        raise ConfigError("a `visdiv run` is in progress: wait until it ends, then start `visdiv gc --delete` again")
    if active:
        raise ConfigError(
            f"runs are in progress ({', '.join(active[:3])}): wait until they end, or terminate them in `visdiv ui`, "
            "then start `visdiv gc --delete` again"
        )


def _remove_keys(settings: Settings, held: Collection[str], form: Form, *, delete: bool) -> None:
    """List Dagster's partition keys of what the source no longer has, and remove them."""
    from visdiv_assets.orchestration import partitions, state

    with state.open_instance(dagster_home(settings)) as instance:
        if instance is None:
            return
        keys = partitions.vanished_keys(instance, held)
        names = sorted(name for of_kind in keys.values() for name in of_kind)
        if not names:
            return
        if delete:
            partitions.remove_keys(instance, keys)
        done = "were removed" if delete else "are removed with --delete"
        more = ", ..." * (len(names) > 5)
        echo_note(form, f"{len(names)} partition keys of Dagster {done}: {', '.join(names[:5])}{more}")


def _print_findings(found: tuple[Findings, ...], request: Request, form: Form) -> None:
    from visdiv_assets.storage.gc.units import TEMPORARY_AGE

    garbage = [part for findings in found for part in findings.garbage]
    vanished = [part for findings in found for part in findings.vanished]
    if garbage or form != "text":
        echo_tables(form, _rows(garbage))
    for line in (line for findings in found for line in findings.skipped):
        echo_note(form, f"skipped: {line}")
    young, young_bytes = (sum(getattr(part, name) for part in found) for name in ("young_files", "young_bytes"))
    if young:
        age = f"{request.grace / DAY:g} days" if request.grace >= TEMPORARY_AGE else "an hour"
        echo_note(form, f"{young} unreferenced files, {_megabytes(young_bytes)} MB, are kept until they are {age} old.")
    if vanished:
        names = sorted({part.partition for part in vanished})
        size = sum(part.size_bytes for part in vanished)
        echo_note(
            form,
            f"{_megabytes(size)} MB belong to partitions that the source no longer has ({', '.join(names[:5])}"
            f"{', ...' if len(names) > 5 else ''}): --vanished includes them.",
        )
    files, size = sum(part.files for part in garbage), sum(part.size_bytes for part in garbage)
    if request.delete:
        echo_note(form, f"Deleted {files} files, {_megabytes(size)} MB.")
    elif garbage:
        options = f"{' --vanished' if request.with_vanished else ''}"
        if request.grace != GRACE_DAYS * DAY:
            options += f" --older-than {request.grace / DAY:g}"
        command = repeat_options(f"`visdiv gc{options} --delete`")
        echo_note(form, f"{files} files, {_megabytes(size)} MB, are unreferenced: {command} deletes them.")
    else:
        echo_note(form, "There is nothing to delete.")


def _rows(garbage: list[Garbage]) -> Rows:
    from visdiv_assets.publishing.row_formats import Rows

    values = [(part.table, part.partition, part.files, part.size_bytes / 1e6, part.why) for part in garbage]
    return Rows("garbage", ("table", "partition", "files", "MB", "why"), values, floats=".3f")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3f}"
