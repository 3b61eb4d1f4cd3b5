"""Run SQL on the published DuckDB file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import ConfigError, StorageError
from visdiv_assets.publishing.row_formats import Rows, as_csv, as_json, as_text
from visdiv_assets.publishing.warehouse.reading import open_to_read

if TYPE_CHECKING:
    import duckdb

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
    with _open_for(path, sql) as connection:
        result = connection.execute(sql)
        columns = [column[0] for column in result.description or []]
        values = result.fetchall() if most is None else result.fetchmany(most)
    return Rows(name, columns, values, title, missing="NULL")


def query_flags(path: Path, sql: str) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """Run a query of rows and of what is true of them.

    Args:
        path: the DuckDB file; it is opened read-only.
        sql: a query with the columns subset, row, and others of true or false.

    Returns:
        a table of subset and row [n], and bool [n] of each other column, in order; NULL is false.

    Raises:
        StorageError: there is no file yet.
        ConfigError: DuckDB refuses the query, or it has other columns.
    """
    with _open_for(path, sql) as connection:
        found: pa.Table = connection.sql(sql).to_arrow_table()
    flags = [field for field in found.schema if field.name not in ("subset", "row")]
    wrong = next((field for field in flags if not pa.types.is_boolean(field.type)), None)
    if sorted(name for name in found.schema.names if name in ("subset", "row")) != ["row", "subset"]:
        raise ConfigError("the query must have the columns subset and row: SELECT subset, row, ...")
    if wrong is not None:
        raise ConfigError(f"the column {wrong.name} is not of true or false: compare it, such as {wrong.name} > 0")
    return found.select(["subset", "row"]), {
        field.name: found[field.name].fill_null(False).to_numpy(zero_copy_only=False) for field in flags
    }


@contextmanager
def _open_for(path: Path, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the file for a statement; what DuckDB says of it is an error of the user's."""
    import duckdb

    if not path.is_file():
        raise StorageError(f"{path} does not exist yet: run `visdiv run --all` first")
    try:
        with open_to_read(path) as connection:
            if not duckdb.extract_statements(sql):
                raise ConfigError("there is no SQL statement to run: give one")
            yield connection
    except duckdb.Error as error:
        message, mark, place = str(error).partition(_PLACE)
        detail = f"{mark.strip()} {place}" if place else ""
        raise ConfigError(f"DuckDB says: {message}", detail=detail) from error


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
