"""Run SQL on the published DuckDB file and return the rows as text."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from visdiv_assets.errors import ConfigError, StorageError, printable
from visdiv_assets.publishing.warehouse.reading import open_to_read

#: Rows of the format table; csv and json return all rows.
ROWS_SHOWN = 100

#: First characters with which a spreadsheet takes a cell for a formula, full-width ones included.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def run_query(path: Path, sql: str, form: str = "table") -> str:
    """Run a statement and return its rows as text.

    Args:
        path: the DuckDB file; it is opened read-only.
        sql: one or more statements.
        form: `table`, `csv` (with a header) or `json` (one object per line). In a table, control characters of texts
            are replaced, since they could change what the terminal shows. In CSV, an apostrophe is put before a text
            that a spreadsheet would take for a formula; `json` has all texts unchanged.

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
        [tuple(map(_shown, row)) for row in rows[:ROWS_SHOWN]],
        [printable(column) for column in columns],
        tablefmt="simple",
        missingval="NULL",
        disable_numparse=texts if rows else False,
    )
    return text + (f"\n(the first {ROWS_SHOWN} rows; --format csv gives all)" if len(rows) > ROWS_SHOWN else "")


def _csv(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    lines = _Lines()
    # With both characters in its terminator, the writer quotes texts with either of them.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerow(map(_inert, columns))
    writer.writerows(map(_inert, row) for row in rows)
    return "".join(f"{line}\n" for line in lines)


class _Lines(list[str]):
    """Lines of CSV, as a stream to which a writer writes each."""

    def write(self, line: str) -> None:
        """Append a line without its terminator."""
        self.append(line.removesuffix("\r\n"))


def _shown(value: Any) -> Any:
    """Return a value for the terminal."""
    return printable(value) if isinstance(value, str) else value


def _inert(value: Any) -> Any:
    """Return a value for a spreadsheet, which would run a text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _json(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    records = (dict(zip(columns, row, strict=True)) for row in rows)
    return "".join(json.dumps(record, default=str, ensure_ascii=False) + "\n" for record in records)
