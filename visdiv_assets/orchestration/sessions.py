"""Sessions of processes that run jobs. Each holds a file lock, which the system releases when its process ends."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

#: Tag of a Dagster run with the session that started it.
TAG = "visdiv/session"


class Session:
    """The session of this process.

    Attributes:
        name: name of the session and of its lock file.
    """

    def __init__(self, home: Path) -> None:
        """Start a session, which lasts until the process ends."""
        from filelock import FileLock

        folder = _folder(home)
        folder.mkdir(parents=True, exist_ok=True)
        self.name = uuid.uuid4().hex
        self._lock = FileLock(folder / self.name)
        self._lock.acquire()


_of_processes: dict[tuple[int, Path], Session] = {}


def of_this_process(home: Path) -> Session:
    """Return the session of this process, which begins with the first call."""
    key = os.getpid(), home
    if key not in _of_processes:
        _of_processes[key] = Session(home)
    return _of_processes[key]


def has_ended(home: Path, name: str) -> bool:
    """Return whether the process of a session has ended.

    An unknown session has not: it may be one of another machine that shares the database of runs.
    """
    lock = _folder(home) / name
    return lock.exists() and not _is_held(lock)


def running(home: Path) -> list[str]:
    """Return the names of the sessions whose process is running."""
    return [lock.name for lock in _locks(home) if _is_held(lock)]


def forget_ended(home: Path) -> None:
    """Remove the lock files of sessions that have ended."""
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
