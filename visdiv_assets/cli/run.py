"""The command `visdiv run`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import given_options, not_read, pass_settings, repeat_options
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings


@click.command()
@click.argument("subsets", nargs=-1, metavar="[SUBSET]...")
@click.option("--all", "every", is_flag=True, help="Run every benchmark and subset of the source.")
@click.option("--changed", is_flag=True, help="Run every subset whose files have changed since it was materialized.")
@click.option("--plan", is_flag=True, help="Only print what would run, and estimate its time, memory and disk space.")
@pass_settings
def run(settings: Settings, subsets: tuple[str, ...], every: bool, changed: bool, plan: bool) -> None:
    """Materialize subsets through Dagster, then publish the DuckDB file.

    Each subset is one Dagster run, which the UI shows. Benchmarks that are new or have changed run first. Finished work
    is reused as long as its inputs are unchanged, so an interrupted command resumes when it is started again.

    With --plan, nothing is run and nothing is changed. Estimates come from the rates that earlier runs recorded;
    without any, a few images of the source are decoded, embedded and compared.
    """
    if [every, changed, bool(subsets)].count(True) != 1:
        raise click.UsageError("name the subsets to run, or --all, or --changed")
    from visdiv_assets.corpus.tables import LakeTable
    from visdiv_assets.wiring import open_lake, open_source

    source = open_source(settings)
    known = source.subsets()
    if unknown := [subset for subset in subsets if subset not in known]:
        raise ConfigError(f"{settings.source} has no subset {unknown[0]!r}: it has {', '.join(known)}")
    from visdiv_assets.orchestration import runs
    from visdiv_assets.orchestration.status import changed_subsets, stale_benchmarks
    from visdiv_assets.publishing.warehouse.query import run_query

    lake = open_lake(settings)
    if changed and not lake.partitions(LakeTable.SUBSET_IMAGES):
        raise ConfigError("no subset is materialized yet, so none has changed: run `visdiv run --all`")
    chosen = known if every else changed_subsets(source, lake) if changed else list(subsets)
    benchmarks = source.benchmarks() if every else stale_benchmarks(source, lake)
    if plan:
        from visdiv_assets.cli.run_plan import plan_lines

        for line in plan_lines(settings, source, lake, benchmarks, chosen):
            click.echo(repeat_options(line))
        return
    for line in not_read(source.left_out()):
        click.echo(line)
    outcomes = {}
    for outcome in runs.Session(settings).run(benchmarks, chosen):
        click.echo(repeat_options(outcome.line()))
        # What is made again after damage counts with its last run.
        outcomes[outcome.name] = outcome
    if failed := [name for name, outcome in outcomes.items() if not outcome.succeeded]:
        raise ConfigError(
            f"{len(failed)} of {len(outcomes)} runs failed ({', '.join(failed)}): the lines above say why; "
            "earlier results are "
            "intact, and the same command resumes"
        )
    for title, sql in runs.SUMMARIES:
        click.echo(f"\n{title}")
        click.echo(run_query(Path(settings.warehouse_path), sql))
    click.echo(_next_commands(settings))


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
