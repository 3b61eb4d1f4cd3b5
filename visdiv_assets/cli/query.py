"""The command `visdiv query`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.settings import Settings


@click.command()
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Format of the rows; json is one object per line.",
)
@pass_settings
def query(settings: Settings, sql: str, form: str) -> None:
    """Run SQL on the published DuckDB file, read-only.

    Statements cannot access other files, the network or extensions. In CSV, text that a spreadsheet would read as a
    formula is prefixed with an apostrophe.

    `visdiv query "SHOW TABLES"` lists the tables, and
    `visdiv query "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'images'"` describes the columns
    of the table images.
    """
    from visdiv_assets.publishing.warehouse.query import run_query

    click.echo(run_query(Path(settings.warehouse_path), sql, form), nl=form == "table")
