"""Which sessions of the shell still run: each holds a lock, which ends with its process however that ends."""

from __future__ import annotations

import uuid
from pathlib import Path

#: Of a Dagster run: the session of the shell that it belongs to.
TAG = "visdiv/session"


class Session:
    """This process's session, beside those of others in Dagster's home.

    Attributes:
        name: of the session, and of its lock.
    """

    def __init__(self, home: Path) -> None:
        """Begin a session; its lock is held until the process ends."""
        from filelock import FileLock

        folder = _folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        self.name = uuid.uuid4().hex
        self._lock = FileLock(folder / self.name)
        self._lock.acquire()


def has_ended(home: Path, name: str) -> bool:
    """Whether the process of a session of this home has ended.

    False where there is no such session: it may be another machine's, which shares the database of runs.
    """
    lock = _folder(home) / name
    return lock.exists() and not _is_held(lock)


def running(home: Path) -> list[str]:
    """Names of the sessions that still run."""
    return [lock.name for lock in _locks(home) if _is_held(lock)]


def forget_ended(home: Path) -> None:
    """Remove the locks of sessions that have ended."""
    for lock in _locks(home):
        if not _is_held(lock):
            lock.unlink(missing_ok=True)


def _folder(home: Path) -> Path:
    return home / "sessions"


def _locks(home: Path) -> list[Path]:
    folder = _folder(home)
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_held(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
