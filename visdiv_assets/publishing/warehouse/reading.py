"""Open the published DuckDB file for reading."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

#: DuckDB would draw a bar for a statement of more than two seconds, into the output of the command.
WITHOUT_BAR = "SET enable_progress_bar = false"
#: Settings that a statement may change.
ADJUSTABLE = ("memory_limit", "max_memory", "threads", "TimeZone", "preserve_insertion_order")
#: What is switched off: a statement may come from someone who may read the findings, and nothing else of this machine.
_OFF = (
    "autoinstall_known_extensions",
    "autoload_known_extensions",
    "allow_community_extensions",
    "allow_persistent_secrets",
    "enable_external_access",
)
#: Bytes before the first block of a DuckDB file.
_HEADER_BYTES = 3 * 4096


@contextmanager
def open_to_read(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file read-only, without access to other files, to networks and to extensions.

    Statements that need more memory than there is spill to TMPDIR. By default DuckDB would spill beside the file, where
    a reader often may not write. Times are shown in UTC. Statements can change `ADJUSTABLE` settings only.

    Raises:
        duckdb.Error: it is not a DuckDB file, or it cannot be read.
    """
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="visdiv-", ignore_cleanup_errors=True) as spilled,
        duckdb.connect(str(path), read_only=True, config={"temp_directory": spilled}) as connection,
    ):
        connection.execute(WITHOUT_BAR)
        connection.execute("SET TimeZone = 'UTC'")
        _lock(connection)
        yield connection


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    for name in _OFF:
        connection.execute(f"SET {name} = false")
    # DuckDB 1.4 locks all settings.
    if connection.execute("SELECT 1 FROM duckdb_settings() WHERE name = 'allowed_configs'").fetchone():
        connection.execute(f"SET allowed_configs = {list(ADJUSTABLE)}")
    connection.execute("SET lock_configuration = true")


def is_truncated(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Return whether an open DuckDB file is smaller than its header says: it opens, but its rows cannot be read."""
    sizes = connection.execute("SELECT block_size, total_blocks FROM pragma_database_size()").fetchone()
    assert sizes is not None
    block_size, blocks = map(int, sizes)
    return path.stat().st_size < _HEADER_BYTES + block_size * blocks
