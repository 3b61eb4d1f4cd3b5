"""What commands print: tables in the format of `--format`, which every command with a table has, and notes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    import pyarrow as pa

    from visdiv_assets.publishing.row_formats import Rows

Form = Literal["text", "csv", "json"]


def format_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--format` to a command, which it gets as `form`."""
    return click.option(
        "--format",
        "form",
        # The names of row_formats.FORMATS, which the help must not import.
        type=click.Choice(["text", "csv", "json"]),
        default="text",
        show_default=True,
        help="text for a terminal, csv with a header, or json with one object per line; all else goes to stderr.",
    )(command)


def terminal_width() -> int:
    """Return the columns of the terminal; 0 if the output goes to a file or a pipe and COLUMNS is not set."""
    return shutil.get_terminal_size((0, 0)).columns


def echo_tables(form: Form, *tables: Rows) -> None:
    """Print tables, each as text below its title.

    Several tables are separated by an empty line, and in JSON each object has the name of its table as `table`.
    """
    from visdiv_assets.publishing.row_formats import as_csv, as_json, as_text

    for number, table in enumerate(tables):
        if form == "json":
            click.echo(as_json(table, named=len(tables) > 1), nl=False)
            continue
        if number:
            click.echo()
        if form == "csv":
            click.echo(as_csv(table), nl=False)
            continue
        if table.title:
            click.echo(table.title)
        click.echo(as_text(table, terminal_width()))


def echo_note(form: Form, text: str) -> None:
    """Print a line for people: below a table of text, on stderr beside other formats."""
    click.echo(text, err=form != "text")


def arrow_rows(name: str, table: pa.Table, **arguments: Any) -> Rows:
    """Return an Arrow table as rows; the arguments are those of `Rows`."""
    from visdiv_assets.publishing.row_formats import Rows

    return Rows(name, table.column_names, [tuple(record.values()) for record in table.to_pylist()], **arguments)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table to a Parquet file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    import pyarrow.parquet as pq

    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local

    try:
        with replace_local(path) as stream:
            pq.write_table(table, stream)
    except OSError as error:
        raise write_error(str(path), error) from error
