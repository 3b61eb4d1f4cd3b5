"""The command `visdiv run`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import given_options, not_read, pass_settings, repeat_options
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import ConfigError, IncompleteError, VisdivError
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.orchestration.runs import Outcome
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.sources import Source

EXAMPLES = """\
\b
Examples:
  visdiv run --all --plan               estimate first
  visdiv run --all
  visdiv run coco_colors "geoqa+(mathv360k)"
  visdiv run --changed
  visdiv run coco_colors --ocr          also read the text in images
  visdiv run --all --format json > run.jsonl
"""


@click.command(epilog=EXAMPLES)
@click.argument("subsets", nargs=-1, metavar="[SUBSET]...")
@click.option("--all", "every", is_flag=True, help="Run every benchmark and subset of the source.")
@click.option(
    "--changed",
    is_flag=True,
    help="Run every subset whose files have changed since it was materialized, or on whose pairs people have decided.",
)
@click.option(
    "--ocr",
    is_flag=True,
    help="Also read the text in a sample of the images of subsets and benchmarks (VISDIV_OCR_SAMPLE). It needs the "
    "extra [ocr].",
)
@click.option("--plan", is_flag=True, help="Only print what would run, and estimate its time, memory and disk space.")
@format_option
@pass_settings
def run(
    settings: Settings, subsets: tuple[str, ...], every: bool, changed: bool, ocr: bool, plan: bool, form: Form
) -> None:
    """Materialize subsets through Dagster, then publish the DuckDB file.

    Each subset is one Dagster run, which the UI shows. Benchmarks that are new or have changed run first. Finished work
    is reused as long as its inputs are unchanged, so an interrupted command resumes when it is started again.

    With --plan, nothing is run and nothing is changed. Estimates come from the rates that earlier runs recorded;
    without any, a few images of the source are decoded, embedded and compared.

    In csv and json, the tables are runs, subsets, contamination and dropped_rows; with --plan parts, estimates and
    totals.
    """
    if [every, changed, bool(subsets)].count(True) != 1:
        raise click.UsageError("name the subsets to run, or --all, or --changed")
    if ocr:
        from visdiv_assets.texts.ocr.rapid import check_installed

        check_installed()
    from visdiv_assets.corpus.tables import LakeTable
    from visdiv_assets.duplicates.person_decisions import read_decisions
    from visdiv_assets.wiring import open_lake, open_source

    source = open_source(settings)
    known = source.subsets()
    if unknown := [subset for subset in subsets if subset not in known]:
        raise _no_subset(source, unknown[0], known)
    from visdiv_assets.orchestration import runs
    from visdiv_assets.orchestration.status import changed_subsets, newly_decided_subsets, stale_benchmarks
    from visdiv_assets.publishing.warehouse.query import query_rows

    lake = open_lake(settings)
    if changed and not lake.partitions(LakeTable.SUBSET_IMAGES):
        raise ConfigError("no subset is materialized yet, so none has changed: run `visdiv run --all`")
    chosen = known if every else list(subsets)
    decided = newly_decided_subsets(lake, read_decisions(settings.decisions_path)) if changed or plan else []
    if changed:
        stale = {*changed_subsets(source, lake), *decided}
        chosen = [subset for subset in known if subset in stale]
    benchmarks = source.benchmarks() if every or ocr else stale_benchmarks(source, lake)
    if plan:
        from visdiv_assets.cli.run_plan import echo_plan

        echo_plan(settings, source, lake, benchmarks, chosen, form, decided=decided, ocr=ocr)
        return
    for line in not_read(source.left_out()):
        echo_note(form, line)
    outcomes = {}
    for outcome in runs.Session(settings).run(benchmarks, chosen, ocr=ocr):
        echo_note(form, repeat_options(outcome.line()))
        # What is made again after damage counts with its last run.
        outcomes[outcome.name] = outcome
    if failed := [name for name, outcome in outcomes.items() if not outcome.succeeded]:
        raise IncompleteError(
            f"{len(failed)} of {len(outcomes)} runs failed ({', '.join(failed)}): the lines above say why; "
            "earlier results are "
            "intact, and the same command resumes"
        )
    warehouse = Path(settings.warehouse_path)
    tables = [query_rows(warehouse, sql, name=name, title=title) for name, title, sql in runs.SUMMARIES]
    if form == "text":
        click.echo()
        echo_tables(form, *tables)
    else:
        echo_tables(form, _outcomes(outcomes.values()), *tables)
    echo_note(form, _next_commands(settings))


def _no_subset(source: Source, name: str, known: Sequence[str]) -> VisdivError:
    from visdiv_assets.sources import Kind
    from visdiv_assets.sources.files import no_such

    if name in source.benchmarks():
        return ConfigError(
            f"{name!r} is a benchmark of {source.uri}, and not a subset: `visdiv run --all` runs all benchmarks, and "
            "every run runs those that are new or have changed"
        )
    return no_such(source.uri, Kind.SUBSET, name, known)


def _outcomes(outcomes: Iterable[Outcome]) -> Rows:
    from visdiv_assets.publishing.row_formats import Rows

    columns = ("name", "succeeded", "seconds", "detail")
    return Rows("runs", columns, [[getattr(outcome, column) for column in columns] for outcome in outcomes])


def _next_commands(settings: Settings) -> str:
    from visdiv_assets.storage.uris import display

    copy = f" and in {display(settings.warehouse_copy)}" if settings.warehouse_copy else ""
    commands = (
        'query "SELECT * FROM duplicates ORDER BY similarity DESC LIMIT 10"',
        "report",
        "export --dry-run clean",
        "status",
        "ui",
    )
    found = f"The findings are in {settings.warehouse_path}{copy}, the reports in {settings.reports_folder}. Next:"
    return "\n".join(["", found, *(f"  visdiv {command}{given_options()}" for command in commands)])
