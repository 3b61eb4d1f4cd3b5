"""Write rows of the lake into the tables of a DuckDB file, and count what each table should get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from visdiv_assets.corpus.tables import remedy
from visdiv_assets.errors import StaleError
from visdiv_assets.publishing.warehouse.columns import Table
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

if TYPE_CHECKING:
    import duckdb


class Loader:
    """An open DuckDB file that is being filled from a lake.

    Attributes:
        connection: to the file.
        lake: where the rows come from.
        expected: by table, the number of rows that the lake holds for it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
        """Fill through an open connection; nothing is expected yet."""
        self.connection = connection
        self.lake = lake
        self.expected: dict[str, int] = {}

    def expect(self, table: str, rows: int) -> None:
        """Add to the number of rows that a table should get."""
        self.expected[table] = self.expected.get(table, 0) + rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the statements of a block together: each commit waits for the disk."""
        self.connection.begin()
        yield
        self.connection.commit()

    def copy(self, manifest: Manifest, role: str, table: Table) -> None:
        """Insert the rows of a role; a column `subset` that they lack is the partition.

        Raises:
            StaleError: the columns of the lake are those of another version of this program.
        """
        if not manifest.files(role):
            return
        stored = self.require_columns(manifest, role, {column.stored_name for column in table.columns})
        columns = [column.name for column in table.columns]
        values = [column.expression() if column.stored_name in stored else "$subset" for column in table.columns]
        with self.registered(stored=self.stream(manifest, role)):
            self.connection.execute(
                f'INSERT INTO "{table.name}" ({_list(columns)}) SELECT {", ".join(values)} FROM stored',
                {"subset": manifest.partition} if "$subset" in values else {},
            )
        self.expect(table.name, manifest.rows(role))

    def require_columns(self, manifest: Manifest, role: str, expected: set[str]) -> list[str]:
        """Return the stored columns, which must be the expected ones, with or without `subset`."""
        stored: list[str] = self.lake.dataset(manifest, role).schema.names
        if set(stored) | {"subset"} != expected | {"subset"}:
            raise StaleError(
                f"{manifest.table} of {manifest.partition!r} was written by another version of this program, with the "
                f"columns {', '.join(stored)}: {remedy(manifest.table, manifest.partition)}"
            )
        return stored

    def insert(self, table: Table, row: dict[str, object]) -> None:
        """Insert one row, by the names of its columns."""
        self.connection.execute(
            f'INSERT INTO "{table.name}" ({_list(list(row))}) VALUES ({", ".join("?" * len(row))})', list(row.values())
        )
        self.expect(table.name, 1)

    def stream(self, manifest: Manifest, role: str) -> pa.RecordBatchReader:
        """Return the rows of a role in batches; each may be read once."""
        return self.lake.dataset(manifest, role).scanner().to_reader()

    @contextmanager
    def registered(self, **views: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        """Make tables visible to statements under these names."""
        for name, data in views.items():
            self.connection.register(name, data)
        yield
        for name in views:
            self.connection.unregister(name)


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
