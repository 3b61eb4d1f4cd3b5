"""Run SQL on the published DuckDB file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from visdiv_assets.errors import ConfigError, StorageError
from visdiv_assets.publishing.row_formats import Rows, as_csv, as_json, as_text
from visdiv_assets.publishing.warehouse.reading import open_to_read

#: Rows of the format text; csv and json return all rows.
ROWS_SHOWN = 100

#: What DuckDB writes before the line of SQL in which it found an error, with a caret below the place.
_PLACE = "\n\nLINE "


def query_rows(path: Path, sql: str, *, most: int | None = None, name: str = "rows", title: str = "") -> Rows:
    """Run a statement and return its rows.

    Args:
        path: the DuckDB file; it is opened read-only.
        sql: one or more statements; the rows are those of the last one.
        most: maximum number of rows; None: all.
        name: name of the rows as a table.
        title: what they show.

    Raises:
        StorageError: there is no file yet.
        ConfigError: there is no statement, or DuckDB refuses it. Its detail is the line of SQL with a caret below the
            place of the error, if DuckDB names one.
    """
    import duckdb

    if not path.is_file():
        raise StorageError(f"{path} does not exist yet: run `visdiv run --all` first")
    try:
        with open_to_read(path) as connection:
            if not duckdb.extract_statements(sql):
                raise ConfigError("there is no SQL statement to run: give one")
            result = connection.execute(sql)
            columns = [column[0] for column in result.description or []]
            values = result.fetchall() if most is None else result.fetchmany(most)
    except duckdb.Error as error:
        message, mark, place = str(error).partition(_PLACE)
        detail = f"{mark.strip()} {place}" if place else ""
        raise ConfigError(f"DuckDB says: {message}", detail=detail) from error
    return Rows(name, columns, values, title, missing="NULL")


def run_query(path: Path, sql: str, form: str = "text", *, width: int = 0) -> str:
    """Run a statement and return its rows as text that ends with a newline if there is any.

    Args:
        path: the DuckDB file; it is opened read-only.
        sql: one or more statements.
        form: one of `row_formats.FORMATS`. As text there are the first `ROWS_SHOWN` rows.
        width: columns of the terminal, which text is to fit; 0: unlimited.

    Raises:
        StorageError: there is no file yet.
        ConfigError: there is no statement, or DuckDB refuses it.
    """
    if form != "text":
        rows = query_rows(path, sql)
        return as_csv(rows) if form == "csv" else as_json(rows)
    rows = query_rows(path, sql, most=ROWS_SHOWN + 1)
    text = as_text(replace(rows, values=rows.values[:ROWS_SHOWN]), width)
    if len(rows.values) > ROWS_SHOWN:
        text += f"\n(the first {ROWS_SHOWN} rows; --format csv gives all)"
    return f"{text}\n"
