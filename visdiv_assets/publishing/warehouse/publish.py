"""Publish the DuckDB file, which BI tools read, from the lake.

The file is built under another name and renamed into place, so that readers never wait for a run and runs never wait
for readers: a reader that has the file open keeps the old state. The file holds real rows (no references to the lake),
and DuckDB 1.2 and later can read it. If the lake is on object storage, the file is copied there too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from visdiv_assets.duplicates.person_decisions import Decisions
from visdiv_assets.errors import StaleError, StorageError
from visdiv_assets.publishing.warehouse import schema
from visdiv_assets.publishing.warehouse.fill import Filler
from visdiv_assets.publishing.warehouse.history import keep_history
from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.reading import WITHOUT_BAR
from visdiv_assets.storage import object_store, uris
from visdiv_assets.storage.error_messages import reason_of, write_error
from visdiv_assets.storage.files import remove_temporary, temporary_beside
from visdiv_assets.storage.integrity import removing_damage
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.put_in_place import keep_access, put_in_place, real_path

if TYPE_CHECKING:
    import duckdb

#: Drivers of BI tools still ship a DuckDB that cannot open files of later storage versions.
STORAGE_VERSION = "v1.2.0"

#: Ends of the names of files with changes that DuckDB makes to a file when it opens it.
_LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")


@dataclass(frozen=True)
class Published:
    """The result of a publication.

    Attributes:
        rows: rows of each table of the published file.
        expected_rows: rows that the lake holds for each table.
    """

    rows: Mapping[str, int]
    expected_rows: Mapping[str, int]

    @property
    def differences(self) -> list[str]:
        """One line for each table whose number of rows differs from the lake's."""
        return [
            f"{table}: {self.rows[table]} rows published, {expected} in the lake"
            for table, expected in self.expected_rows.items()
            if self.rows[table] != expected
        ]


def publish(
    lake: Lake,
    path: str | Path,
    *,
    category: Callable[[str], str | None] = lambda subset: None,
    publication: Publication | None = None,
    decisions: Decisions | None = None,
) -> Published:
    """Build the DuckDB file from the lake and put it in place with one rename.

    Args:
        lake: where the rows come from.
        path: the DuckDB file; if it is a link, the file that it leads to is replaced.
        category: returns the category of a subset.
        publication: the content of the table `meta`; None: unknown.
        decisions: people's decisions on pairs, for the table `review_decisions`; None: there are none.

    Returns:
        the row counts of the published file and of the lake.

    Raises:
        StorageError: the file cannot be written; an older one stays in place.
        StaleError: another version of this program wrote a table of the lake.
        DamagedFileError: a file of the lake has other bytes than those that were written. All such files are removed,
            so that the next runs of their partitions make them again.
    """
    import duckdb

    given = Path(path).absolute()
    # One publication at a time, so that the one that reads the lake last also publishes last, and no other one still
    # writes the temporary files that are removed here.
    held = lake.hold("warehouse", given.name, str(given))
    aside = None
    try:
        given.parent.mkdir(parents=True, exist_ok=True)
        target = real_path(given)
        aside = temporary_beside(target)
        if held and held.first:
            remove_temporary(target.parent, target.name)
        with duckdb.connect(str(aside), config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
            connection.execute(WITHOUT_BAR)
            keep_access(aside, target)
            with removing_damage(lake):
                origin, said = publication or Publication(), decisions or Decisions()
                expected = Filler(connection, lake.snapshot().checked(), category, origin, said).fill()
            # Closing writes the rest too, but does not report a failure.
            connection.execute("CHECKPOINT")
        # Count in the file that was written, not in the memory of the connection that wrote it.
        with duckdb.connect(str(aside), read_only=True) as connection:
            keep_history(connection, lake)
            rows = {table.name: _count(connection, table.name) for table in schema.TABLES}
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        # Before the rename: a process that is killed in between must not leave the new file with old changes.
        for log in leftover_logs(given):
            log.unlink(missing_ok=True)
        put_in_place(aside, target)
    except OSError as error:
        raise write_error(str(given), error) from error
    except duckdb.ConversionException as error:
        # Of a column with few values, the lake has another one.
        raise StaleError(
            f"the lake holds a value that this version of the program does not know ({error}): run `visdiv run --all`"
        ) from error
    except (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException) as error:
        raise StorageError(f"cannot write {given}: {error}; the previous file is intact") from error
    finally:
        if aside:
            with suppress(OSError):
                for left in (aside, *leftover_logs(aside)):
                    left.unlink(missing_ok=True)
        if held:
            held.release()
    return Published(rows, expected)


def leftover_logs(path: Path) -> list[Path]:
    """Return the files of changes beside a DuckDB file, left by a program that had it open for writing and died.

    DuckDB applies them to whatever file it finds there, even to one that was published later.

    Args:
        path: the DuckDB file; for a link, also the files beside what it leads to.
    """
    files = dict.fromkeys((path, real_path(path)))
    return [log for file in files for end in _LOGS if (log := file.with_name(f"{file.name}{end}")).exists()]


def publish_copy(path: str | Path, uri: str) -> None:
    """Copy the published file to object storage, as one object.

    Args:
        path: the file.
        uri: the URI of the copy.

    Raises:
        StorageError: the copy cannot be written; the file stays in place, and so does an older copy.
    """
    filesystem, target = uris.open_filesystem(uri)
    try:
        with Path(path).open("rb") as content:
            object_store.send(filesystem, content, target)
    except OSError as error:
        reason = reason_of(error)
        raise StorageError(
            f"{path} is published, but cannot be copied to {uris.display(uri)}: {reason.text}: {reason.advice}, then "
            "start the run again"
        ) from error


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
    assert row is not None
    return int(row[0])
