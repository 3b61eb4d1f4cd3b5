"""Run SQL on the published DuckDB file and return the rows as text."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from visdiv_assets.errors import ConfigError, StorageError
from visdiv_assets.publishing.warehouse.reading import open_to_read

#: Rows of the format table; csv and json return all rows.
ROWS_SHOWN = 100


def run_query(path: Path, sql: str, form: str = "table") -> str:
    """Run a statement and return its rows as text.

    Args:
        path: the DuckDB file; it is opened read-only.
        sql: one or more statements.
        form: `table`, `csv` (with a header) or `json` (one object per line).

    Raises:
        StorageError: there is no file yet.
        ConfigError: there is no statement, or DuckDB refuses it.
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
            if form == "table":
                texts = [index for index, column in enumerate(result.description or []) if column[1] == "VARCHAR"]
                return _table(columns, result.fetchmany(ROWS_SHOWN + 1), texts)
            rows = result.fetchall()
            return _csv(columns, rows) if form == "csv" else _json(columns, rows)
    except duckdb.Error as error:
        raise ConfigError(f"DuckDB says: {error}") from error


def _table(columns: list[str], rows: list[tuple[Any, ...]], texts: list[int]) -> str:
    from tabulate import tabulate

    # By default tabulate shows the text 1e3 as the number 1000.
    text = tabulate(
        rows[:ROWS_SHOWN], columns, tablefmt="simple", missingval="NULL", disable_numparse=texts if rows else False
    )
    return text + (f"\n(the first {ROWS_SHOWN} rows; --format csv gives all)" if len(rows) > ROWS_SHOWN else "")


def _csv(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _json(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    records = (dict(zip(columns, row, strict=True)) for row in rows)
    return "".join(json.dumps(record, default=str, ensure_ascii=False) + "\n" for record in records)
