"""The `visdiv` command.

Belongs here: arguments, Dagster runs started from the shell, and what is printed. Does not: how anything is computed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from visdiv_assets.errors import VisdivError
from visdiv_assets.settings import Settings, dagster_home, load_settings, variable

EXAMPLES = """
\b
Examples:
  visdiv run --all                      materialise every subset, then the DuckDB file
  visdiv run coco_colors "geoqa+(mathv360k)"
  visdiv status                         what is materialised, and what has changed
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


@click.group(cls=_Command, epilog=EXAMPLES, context_settings={"max_content_width": 110})
@click.version_option(package_name="visdiv-assets")
def main() -> None:
    """What is in the image data of vision-language training sets.

    Reads the subsets of VISDIV_SOURCE, finds unreadable pictures, duplicates and diversity, and publishes the
    findings as one DuckDB file. Everything is written below VISDIV_DATA. `visdiv settings` lists all settings.
    """


@main.command()
@click.argument("subsets", nargs=-1, metavar="[SUBSET]...")
@click.option("--all", "every", is_flag=True, help="Every subset of the source.")
def run(subsets: tuple[str, ...], every: bool) -> None:
    """Materialise subsets through Dagster, then publish the DuckDB file.

    Each subset is one Dagster run, which the UI shows. Work that is already done for the same input is found and not
    repeated, so the command can be stopped at any time and started again.
    """
    settings = load_settings()
    if every == bool(subsets):
        raise click.UsageError("name the subsets to run, or --all")
    from visdiv_assets import sources

    known = sources.open(settings.source).subsets()
    unknown = [subset for subset in subsets if subset not in known]
    if unknown:
        raise VisdivError(f"{settings.source} has no subset {unknown[0]!r}: it has {', '.join(known)}")
    from visdiv_assets import runs

    session = runs.Session(settings)
    failed = []
    for subset in known if every else subsets:
        outcome = session.run_subset(subset)
        click.echo(outcome.line())
        failed += [] if outcome.succeeded else [subset]
    published = session.publish()
    click.echo(published.line())
    if failed or not published.succeeded:
        raise VisdivError(
            f"not everything was materialised ({', '.join(failed) or 'warehouse'}): see the lines above; "
            "what was there before is intact, and the same command goes on from here"
        )
    click.echo()
    click.echo(_query(settings, runs.SUMMARY))
    click.echo(_next_commands(settings))


@main.command()
def status() -> None:
    """Show every subset: what is materialised, and whether its source has changed since."""
    from visdiv_assets import sources
    from visdiv_assets.status import subset_states
    from visdiv_assets.storage.lake import Lake

    settings = load_settings()
    states = subset_states(sources.open(settings.source), Lake(settings.lake_root))
    click.echo(f"source  {settings.source}")
    click.echo(f"data    {settings.data_folder}")
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
@click.option("--port", default=3000, show_default=True, help="Port of the web server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that it listens on.")
def ui(port: int, host: str) -> None:
    """Open the Dagster UI on the state that `visdiv run` writes: the asset graph, partitions, backfills."""
    settings = load_settings()
    from visdiv_assets import runs

    with runs.Session(settings).instance:
        pass
    arguments = ["dev", "-m", "visdiv_assets.definitions", "-p", str(port), "-h", host]
    os.execv(sys.executable, [sys.executable, "-W", "ignore::Warning:dagster", "-m", "dagster", *arguments])


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


def _query(settings: Settings, sql: str, form: str = "table") -> str:
    from visdiv_assets.storage.queries import run_query

    return run_query(Path(settings.warehouse_path), sql, form)


def _next_commands(settings: Settings) -> str:
    return "\n".join(
        [
            f"The findings are in {settings.warehouse_path}. Next:",
            '  visdiv query "SELECT * FROM duplicate_pair_positions ORDER BY similarity DESC LIMIT 10"',
            "  visdiv status",
            "  visdiv ui",
        ]
    )


if __name__ == "__main__":
    main()
