"""The `visdiv` command.

Belongs here: arguments, Dagster runs started from the shell, and what is printed. Does not: how anything is computed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from visdiv_assets.cli.mixture import mixture
from visdiv_assets.cli.perf import bench
from visdiv_assets.cli.report import report
from visdiv_assets.cli.search import search
from visdiv_assets.cli.select import select
from visdiv_assets.cli.upkeep import doctor, gc
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.settings import Settings, absolute_paths, dagster_home, load_settings, variable
from visdiv_assets.storage.error_messages import is_of_object_storage, read_error
from visdiv_assets.storage.uris import display

EXAMPLES = """
\b
Examples:
  visdiv run --all                      materialize every subset, then the DuckDB file
  visdiv run coco_colors "geoqa+(mathv360k)"
  visdiv status                         what is materialized, and what has changed
  visdiv run --changed                  what has changed, again
  visdiv query "SELECT * FROM subsets"
  visdiv ui                             open Dagster on the same state
"""


class _Command(click.Group):
    """Shows what users can mend as one line."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except VisdivError as error:
            click.echo(f"visdiv: {error}", err=True)
            context.exit(2)
        except OSError as error:
            if not is_of_object_storage(error):
                raise
            # While a table is streamed, it is an error of whoever reads it.
            click.echo(f"visdiv: {read_error('VISDIV_DATA', error)}", err=True)
            context.exit(2)


@click.group(cls=_Command, epilog=EXAMPLES, context_settings={"max_content_width": 110})
@click.version_option(package_name="visdiv-assets")
def main() -> None:
    """What is in the image data of vision-language training sets.

    Reads the subsets of VISDIV_SOURCE, finds unreadable images, duplicates and diversity, and publishes the
    findings as one DuckDB file. Everything is written below VISDIV_DATA. `visdiv settings` lists all settings.
    """


@main.command()
@click.argument("subsets", nargs=-1, metavar="[SUBSET]...")
@click.option("--all", "every", is_flag=True, help="Every subset of the source.")
@click.option("--changed", is_flag=True, help="Every subset that was materialized and whose files changed since.")
def run(subsets: tuple[str, ...], every: bool, changed: bool) -> None:
    """Materialize subsets through Dagster, then publish the DuckDB file.

    Each subset is one Dagster run, which the UI shows. Work that is already done for the same input is found and not
    repeated, so the command can be stopped at any time and started again.
    """
    settings = load_settings()
    if [every, changed, bool(subsets)].count(True) != 1:
        raise click.UsageError("name the subsets to run, or --all, or --changed")
    from visdiv_assets.wiring import open_lake, open_source

    source = open_source(settings)
    known = source.subsets()
    unknown = [subset for subset in subsets if subset not in known]
    if unknown:
        raise ConfigError(f"{settings.source} has no subset {unknown[0]!r}: it has {', '.join(known)}")
    from visdiv_assets.orchestration import runs
    from visdiv_assets.orchestration.status import changed_subsets, stale_benchmarks

    lake = open_lake(settings)
    chosen = known if every else changed_subsets(source, lake) if changed else list(subsets)
    benchmarks = source.benchmarks() if every else stale_benchmarks(source, lake)
    session = runs.Session(settings)
    outcomes = []
    for outcome in session.run(benchmarks, chosen):
        click.echo(outcome.line())
        outcomes.append(outcome)
    failed = [outcome.name for outcome in outcomes if not outcome.succeeded]
    if failed:
        raise ConfigError(
            f"not everything was materialized ({', '.join(failed)}): see the lines above; what was there before is "
            "intact, and the same command goes on from here"
        )
    for title, sql in runs.SUMMARIES:
        click.echo(f"\n{title}")
        click.echo(_query(settings, sql))
    click.echo(_next_commands(settings))


@main.command()
def status() -> None:
    """Show every subset: what is materialized, and whether its source has changed since."""
    from visdiv_assets.orchestration.status import subset_states
    from visdiv_assets.wiring import open_lake, open_source

    settings = load_settings()
    states = subset_states(open_source(settings), open_lake(settings))
    click.echo(f"source  {settings.source}")
    click.echo(f"data    {display(settings.data) if settings.is_remote else settings.data_folder}")
    width = max([len(state.subset) for state in states], default=6)
    for state in states:
        click.echo(f"{state.subset:<{width}}  {state.summary}")


@main.command()
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="How rows are printed; json is one object a line.",
)
def query(sql: str, form: str) -> None:
    """Run SQL on the published DuckDB file, read-only.

    `visdiv query "SHOW TABLES"` lists the tables, and
    `visdiv query "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'images'"` explains one.
    """
    click.echo(_query(load_settings(), sql, form), nl=form == "table")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be left out, and write nothing.")
def export(folder: Path, dry_run: bool) -> None:
    """Write a clean copy of all materialized subsets into FOLDER.

    Each subset is written in the source's own schema without the rows that curated_rows leaves out, readable with
    datasets.load_dataset; dropped.parquet says for every other row why it went and which image is the reason. The
    source is never written to.
    """
    settings = load_settings()
    from visdiv_assets.curation.clean_copy import load_decisions
    from visdiv_assets.curation.export import export as write_copy
    from visdiv_assets.curation.export import preview
    from visdiv_assets.progress import progress
    from visdiv_assets.wiring import open_lake, open_source

    source, lake = open_source(settings), open_lake(settings)
    decided = list(load_decisions(lake, source))
    click.echo(_table(preview(decided)))
    if dry_run:
        click.echo(f"Nothing was written. `visdiv export {folder}` writes the rows that are kept.")
        return
    with progress("exporting", sum(decision.version.rows for decision in decided), "row") as advance:
        written = write_copy(source, decided, folder, progress=advance)
    click.echo(
        f"{written.rows_kept} rows in {written.files} files, {written.size_bytes / 1e6:.1f} MB, in {folder}; "
        f"{written.rows_dropped} rows left out, listed in {folder / 'dropped.parquet'}"
    )


@main.command()
def benchmarks() -> None:
    """List the benchmarks worth searching for, and which of them the source holds and have been materialized.

    FineVision was compared with the 66 of the list finevision66. A source on the Hub has those of VISDIV_BENCHMARK_LIST
    and fetches them when they are run. For a folder, put a benchmark's files into a folder of that name below
    benchmarks/ in it. VISDIV_BENCHMARK_CATALOG names a list of your own.
    """
    from visdiv_assets.sources.catalog import benchmarks as catalog
    from visdiv_assets.wiring import open_lake, open_source

    settings = load_settings()
    held = set(open_source(settings).benchmarks())
    done = set(open_lake(settings).partitions(LakeTable.BENCHMARK_EMBEDDINGS))
    listed = catalog(settings.benchmark_catalog or None)
    rows = [(entry.name, entry.list, entry.hub_id, entry.config or "", entry.split) for entry in listed]
    known = {entry.name for entry in listed}
    rows += [(name, "", "", "", "") for name in sorted((held | done) - known)]
    click.echo("benchmark\tlist\tdataset\tconfig\tsplit\tstate")
    for row in rows:
        state = "materialized" if row[0] in done else "in the source" if row[0] in held else "not in the source"
        click.echo("\t".join((*row, state)))


@main.command()
@click.option("--port", default=3000, show_default=True, help="Port of the web server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that it listens on.")
def ui(port: int, host: str) -> None:
    """Open the Dagster UI on the state that `visdiv run` writes: the asset graph, partitions, backfills."""
    settings = load_settings()
    from visdiv_assets.orchestration import runs

    runs.Session(settings)
    os.environ.update(absolute_paths(settings))
    # In another folder, since Dagster warns of a dagster.yaml in the working directory that is not in DAGSTER_HOME.
    os.chdir(dagster_home(settings))
    arguments = ["dev", "-m", "visdiv_assets.definitions", "-p", str(port), "-h", host]
    # `dg dev`, which Dagster would rather see, needs a project folder; an installed wheel has none.
    os.execv(sys.executable, [sys.executable, "-W", "ignore:Function `dev_command`", "-m", "dagster", *arguments])


@main.command()
def settings() -> None:
    """List every setting: its environment variable, present value, and meaning."""
    present = load_settings()
    for name, field in Settings.model_fields.items():
        value = getattr(present, name)
        click.echo(f"{variable(name)} = {value!r}")
        click.echo(click.wrap_text(str(field.description), 100, "    ", "    "))
    click.echo(f"DAGSTER_HOME = {str(dagster_home(present))!r}")
    click.echo("    Dagster's own state; set it to use another.")


main.add_command(bench)
main.add_command(gc)
main.add_command(doctor)
main.add_command(search)
main.add_command(select)
main.add_command(mixture)
main.add_command(report)


def _query(settings: Settings, sql: str, form: str = "table") -> str:
    from visdiv_assets.publishing.warehouse.query import run_query

    return run_query(Path(settings.warehouse_path), sql, form)


def _table(rows: Any) -> str:
    """An Arrow table as text."""
    from tabulate import tabulate

    return tabulate(rows.to_pylist(), headers="keys", tablefmt="simple")


def _next_commands(settings: Settings) -> str:
    copy = f" and in {display(settings.warehouse_copy)}" if settings.warehouse_copy else ""
    return "\n".join(
        [
            "",
            f"The findings are in {settings.warehouse_path}{copy}, the reports in {settings.reports_folder}. Next:",
            '  visdiv query "SELECT * FROM close_pair_positions ORDER BY similarity DESC LIMIT 10"',
            "  visdiv report",
            "  visdiv export --dry-run clean",
            "  visdiv status",
            "  visdiv ui",
        ]
    )


if __name__ == "__main__":
    main()
