"""The command `visdiv query`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, format_option, terminal_width
from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv query "SHOW TABLES"
  visdiv query "FROM subsets"
  visdiv query "SELECT * FROM duplicates ORDER BY similarity DESC LIMIT 10"
  visdiv query --example rows_kept
  visdiv query --format csv "FROM dropped_rows" > dropped.csv
"""


@click.command(epilog=EXAMPLES)
@click.argument("sql", required=False)
@click.option("--example", "name", help="Run an example of the documentation, such as rows_kept, instead of SQL.")
@format_option
@pass_settings
def query(settings: Settings, sql: str | None, name: str | None, form: Form) -> None:
    """Run SQL on the published DuckDB file, read-only.

    Statements cannot access other files, the network or extensions. As text, the first 100 rows are printed. In CSV,
    text that a spreadsheet would read as a formula is prefixed with an apostrophe.

    `visdiv query "SHOW TABLES"` lists the tables, and
    `visdiv query "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'images'"` describes the columns
    of the table images. `visdiv query --example rows_kept` answers a question of the documentation; an unknown name
    lists all of them.
    """
    from visdiv_assets.publishing.warehouse.examples import find_example
    from visdiv_assets.publishing.warehouse.query import run_query

    if (sql is None) == (name is None):
        raise click.UsageError("give SQL, or the name of an example with --example")
    sql = find_example(name).sql if name is not None else sql or ""
    click.echo(run_query(Path(settings.warehouse_path), sql, form, width=terminal_width()), nl=False)
