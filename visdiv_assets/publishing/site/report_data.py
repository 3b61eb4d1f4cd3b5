"""Where the site's numbers and images come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa

from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.sources import Source
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
        """Whether a table is there, as it may not be in a file of an earlier release, and holds anything."""
        there = self.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = $name", name=table)
        return bool(there) and bool(self.rows(f'SELECT 1 FROM "{table}" LIMIT 1'))

    def table(self, sql: str, **parameters: Any) -> pa.Table:
        """The rows of a statement, as Arrow."""
        return self._connection.sql(sql, params=parameters or None).to_arrow_table()

    def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a statement, as dicts."""
        rows: list[dict[str, Any]] = self.table(sql, **parameters).to_pylist()
        return rows


@contextmanager
def open_report_data(path: Path) -> Iterator[Warehouse]:
    """Open the published file.

    Raises:
        VisdivError: there is none yet, or DuckDB refuses it.
    """
    import duckdb

    if not path.is_file():
        raise VisdivError(f"{path} does not exist yet: run `visdiv run --all` first")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            yield Warehouse(connection)
    except duckdb.Error as error:
        raise VisdivError(f"{path} cannot be read (DuckDB says: {error}): run `visdiv run --all` again") from error


@dataclass(frozen=True)
class Corpus:
    """All that the pages are made of.

    Attributes:
        warehouse: the published numbers.
        lake: for spectra, which are not published.
        source: for images; None: pages without images.
        reports: the folder of the reports on single subsets and benchmarks; the site is a folder in it.
        contamination_threshold: similarity from which an image counts as contaminated.
        duplicate_threshold: similarity from which it counts as shared.
        limits: of images; a larger one counts as unreadable.
    """

    warehouse: Warehouse
    lake: Lake
    source: Source | None
    reports: Path
    contamination_threshold: float
    duplicate_threshold: float
    limits: DecodeLimits

    def link(self, kind: str, name: str) -> str:
        """Address of a report from the site's folder; empty if it was not written. `kind` is its folder."""
        file = f"{escape(name)}.html"
        return f"../{kind}/{quote(file)}" if (self.reports / kind / file).is_file() else ""
