"""The cache of a judge's replies by the hash of their question: what was answered is never asked again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from visdiv_assets.curation.judge.protocol import Reply
from visdiv_assets.errors import StorageError

#: Keys in one statement; SQLite takes 32,766 parameters.
_KEYS_AT_ONCE = 10_000

#: Seconds to wait for another process that writes.
_WAIT_SECONDS = 60.0


class Answers:
    """Answers in a SQLite file, which survives a kill after each; use it as a context manager, from one thread."""

    def __init__(self, path: Path) -> None:
        """Open a file, creating it if necessary.

        Raises:
            StorageError: it cannot be opened.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, rating INTEGER, addressed INTEGER)"
                " WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from None

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self._connection.close()

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Reply]:
        """Return the answers that there are, by key."""
        found: dict[bytes, Reply] = {}
        try:
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                part = keys[start : start + _KEYS_AT_ONCE]
                marks = ", ".join("?" * len(part))
                rows = self._connection.execute(f"SELECT * FROM answers WHERE key IN ({marks})", part)
                found.update({key: Reply(rating, bool(addressed)) for key, rating, addressed in rows})
        except sqlite3.Error as error:
            raise self._failed(error) from None
        return found

    def add(self, key: bytes, answer: Reply) -> None:
        """Store an answer.

        Raises:
            StorageError: the file cannot be written.
        """
        try:
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, *map(int, answer)))
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> StorageError:
        return StorageError(
            f"{self._path}, the cache of the judge's answers, cannot be read or written ({error}): free some space or "
            "fix its permissions; if it is damaged, move it away, and its questions are asked again"
        )
