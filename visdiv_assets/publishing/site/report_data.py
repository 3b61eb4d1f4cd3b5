"""Access to the numbers and images of the site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.errors import StorageError
from visdiv_assets.publishing.warehouse.reading import open_to_read
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake

if TYPE_CHECKING:
    import duckdb


class Warehouse:
    """The published DuckDB file, read-only."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Read through an open connection."""
        self._connection = connection

    def has_rows(self, table: str) -> bool:
        """Return whether a table exists and has rows; a file of another release may lack it."""
        there = self.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = $name", name=table)
        return bool(there) and bool(self.rows(f'SELECT 1 FROM "{table}" LIMIT 1'))

    def table(self, sql: str, **parameters: Any) -> pa.Table:
        """Return the rows of a statement as an Arrow table."""
        return self._connection.sql(sql, params=parameters or None).to_arrow_table()

    def rows_of(self, table: str, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a statement on a table, or on a view of it; none if the table has none or is not there."""
        return self.rows(sql, **parameters) if self.has_rows(table) else []

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a statement as dicts."""
        rows: list[dict[str, Any]] = self.table(sql, **parameters).to_pylist()
        return rows


@contextmanager
def open_report_data(path: Path) -> Iterator[Warehouse]:
    """Open the published DuckDB file.

    Raises:
        StorageError: it does not exist yet, or DuckDB cannot read it.
    """
    import duckdb

    if not path.is_file():
        raise StorageError(f"{path} does not exist yet: run `visdiv run --all` first")
    try:
        with open_to_read(path) as connection:
            yield Warehouse(connection)
    except duckdb.Error as error:
        raise StorageError(f"{path} cannot be read (DuckDB says: {error}): run `visdiv run --all` again") from error


@dataclass(frozen=True)
class Corpus:
    """The data of the pages.

    Attributes:
        warehouse: the published DuckDB file.
        lake: the lake, for spectra, which are not published.
        images: reads the images; None for pages without images.
        reports: folder of the reports on single subsets and benchmarks; the site is a folder in it.
        contamination_threshold: minimum similarity of contaminated images.
        duplicate_threshold: minimum similarity of shared images.
    """

    warehouse: Warehouse
    lake: Lake
    images: ImageReader | None
    reports: Path
    contamination_threshold: float
    duplicate_threshold: float

    def link(self, kind: str, name: str) -> str:
        """Return the address of a report, relative to the site; empty if the report does not exist.

        Args:
            kind: folder of the report: duplicates, leaks or maps.
            name: name of the subset or benchmark.
        """
        file = f"{escape(name)}.html"
        return f"../{kind}/{quote(file)}" if (self.reports / kind / file).is_file() else ""
