"""The DuckDB file that BI tools read, published from the lake.

It is built under another name and renamed into place, so that readers never wait for a run, nor a run for readers:
whoever has the file open keeps the old state. It holds real rows, and DuckDB 1.2 and later can read it. With a lake on
object storage it is copied there, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from visdiv_assets.errors import VisdivError
from visdiv_assets.publishing.warehouse import schema
from visdiv_assets.publishing.warehouse.fill import Filler
from visdiv_assets.storage import object_store, uris
from visdiv_assets.storage.error_messages import reason_of, write_error
from visdiv_assets.storage.files import remove_temporary, sync_folder, temporary_beside
from visdiv_assets.storage.lake import Lake

if TYPE_CHECKING:
    import duckdb

#: Files of later storage versions cannot be opened by the DuckDB that BI tools' drivers still carry.
STORAGE_VERSION = "v1.2.0"


@dataclass(frozen=True)
class Published:
    """What was published: rows by table, and the counts that the lake gives for the same tables."""

    rows: Mapping[str, int]
    expected_rows: Mapping[str, int]

    @property
    def differences(self) -> list[str]:
        """One line for each table whose rows are not those of the lake."""
        return [
            f"{table}: {self.rows[table]} rows published, {expected} in the lake"
            for table, expected in self.expected_rows.items()
            if self.rows[table] != expected
        ]


def publish(lake: Lake, path: str | Path, *, category: Callable[[str], str | None] = lambda subset: None) -> Published:
    """Build the warehouse from the lake and put it in place with one rename.

    Args:
        lake: where the tables lie.
        path: the DuckDB file.
        category: gives a subset's category.

    Returns:
        the row counts of the published file and of the lake.

    Raises:
        VisdivError: the file cannot be written; the old one, if any, stays.
    """
    import duckdb

    target = Path(path).absolute()
    aside = temporary_beside(target)
    # One at a time, so that whoever reads the lake last publishes last; and none is at work on what is removed here.
    held = lake.hold("warehouse", target.name, str(target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if held and held.first:
            remove_temporary(target.parent, target.name)
        with duckdb.connect(str(aside), config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
            expected = Filler(connection, lake.snapshot(), category).fill()
            # Closing writes what is left, too, but says nothing if that fails.
            connection.execute("CHECKPOINT")
        # Counted in the file that was written, not in the memory of the connection that wrote it.
        with duckdb.connect(str(aside), read_only=True) as connection:
            rows = {table.name: _count(connection, table.name) for table in schema.TABLES}
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise write_error(str(target), error) from error
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        raise VisdivError(f"cannot write {target}: {error}; the file that was there before is intact") from error
    finally:
        with suppress(OSError):
            for left in (aside, aside.with_name(f"{aside.name}.wal")):
                left.unlink(missing_ok=True)
        if held:
            held.release()
    return Published(rows, expected)


def publish_copy(path: str | Path, place: str) -> None:
    """Put a copy of the published file on object storage, as one object.

    Args:
        path: the file.
        place: the copy's URI.

    Raises:
        VisdivError: it cannot be written there; the file stays, as does the copy that was there before.
    """
    filesystem, target = uris.open_filesystem(place)
    try:
        with Path(path).open("rb") as content:
            object_store.send(filesystem, content, target)
    except OSError as error:
        reason = reason_of(error)
        raise VisdivError(
            f"{path} is published, but cannot be copied to {uris.display(place)}: {reason.text}: {reason.advice}, then "
            "start the run again"
        ) from error


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    assert row is not None
    return int(row[0])
