"""A cache of fetched files on disk: each is fetched once and verified, and all processes share them.

A file is named by its content and has its name only when it is complete. While it is fetched it ends in `.part`; the
fetching process holds an exclusive lock on it, and other processes that need the file wait. A reader holds a shared
lock, so that the file is not removed meanwhile. Locks end with their process, however that ends; a fetch resumes from
the `.part` of a killed process. The locks are on the files themselves (flock), so there are no lock files to clean up.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep, time_ns
from typing import BinaryIO

from visdiv_assets.storage import disk_space
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.put_in_place import sync_folder

logger = logging.getLogger(__name__)

PART = ".part"

#: Seconds between two checks of a file that another process is fetching.
POLL_SECONDS = 0.1


class FileCache:
    """A folder of fetched files, limited in size; files in use may exceed the limit."""

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int = 0) -> None:
        """Open a folder, which need not exist yet.

        Args:
            folder: the folder; it must hold nothing else.
            max_bytes: limit on the total size of its files.
            reserve_bytes: bytes to leave free on its disk, see `disk_space.require_space`.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes

    def holds(self, key: str) -> bool:
        """Return whether the cache has a file."""
        return (self._folder / key).exists()

    @contextmanager
    def file(self, key: str, size_bytes: int, fetch: Callable[[BinaryIO], None]) -> Iterator[Path]:
        """Fetch a file unless the cache has it, and keep it from being removed inside the block.

        Args:
            key: its name, which identifies its content.
            size_bytes: its size.
            fetch: writes and verifies the file; it gets a readable and writable stream that may hold its beginning.

        Yields:
            the path of the file.

        Raises:
            StorageError: the folder cannot be written, its disk has less free than the reserve, or `fetch` raised it.
        """
        path = self._folder / key
        try:
            descriptor = self._open_shared(path, size_bytes)
            while descriptor is None:
                descriptor = self._fetch(path, size_bytes, fetch)
        except OSError as error:
            raise write_error(str(path), error) from error
        try:
            yield path
        finally:
            os.close(descriptor)
            self._make_room(0)

    def _open_shared(self, path: Path, size_bytes: int) -> int | None:
        """Return a descriptor with a shared lock on the complete file, or None if there is none."""
        while True:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, path):
                if os.fstat(descriptor).st_size == size_bytes:
                    now = time_ns()
                    os.utime(descriptor, ns=(now, now))  # The modification time is the time of last use.
                    return descriptor
                path.unlink(missing_ok=True)  # Damaged: the file was complete when it got its name.
            os.close(descriptor)

    def _fetch(self, path: Path, size_bytes: int, fetch: Callable[[BinaryIO], None]) -> int | None:
        """Fetch a file unless another process does; return what `_open_shared` returns, or None to try again."""
        descriptor = self._lock_part(path)
        if descriptor is None:
            return self._open_shared(path, size_bytes)
        try:
            part = path.with_name(path.name + PART)
            if path.exists():
                part.unlink()
                return self._open_shared(path, size_bytes)
            self._make_room(size_bytes - os.fstat(descriptor).st_size)
            disk_space.require_space(self._folder, self._reserve_bytes)
            with os.fdopen(descriptor, "r+b", closefd=False) as stream:
                fetch(stream)
                stream.flush()
                os.fsync(descriptor)
            part.rename(path)
            sync_folder(path.parent)
            # Other processes may read it from here on. If one removes it before the lock, the caller fetches it again.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return self._open_shared(path, size_bytes)
        finally:
            os.close(descriptor)

    def _lock_part(self, path: Path) -> int | None:
        """Return a descriptor with an exclusive lock on the part; None once another process has fetched the file."""
        part = path.with_name(path.name + PART)
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = False
        while not path.exists():
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
            if _try_lock(descriptor) and _is_at(descriptor, part):
                return descriptor
            os.close(descriptor)
            if not waiting:
                logger.info("waiting for %s, which another thread or process is downloading", path.name)
                waiting = True
            sleep(POLL_SECONDS)
        return None

    def _make_room(self, size_bytes: int) -> None:
        """Remove unused files, the least recently used first, until there is room for a number of bytes."""
        found = []
        disk = disk_space.space_of(self._folder)
        total = size_bytes
        for path in self._folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            total += status.st_size
            found.append((status.st_mtime_ns, path, status.st_size))
        spare = disk.free - disk_space.reserve_on(disk, self._reserve_bytes)
        excess = max(total - self._max_bytes, size_bytes - spare if self._reserve_bytes else 0)
        for _, path, size in sorted(found):
            if excess <= 0:
                return
            if _try_remove(path):
                logger.info("removed %s to make room", path.name)
                excess -= size


def _try_remove(path: Path) -> bool:
    """Remove a file unless it is in use, and return whether it was removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        if not _try_lock(descriptor) or not _is_at(descriptor, path):
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Take an exclusive lock if it is free, and return whether it was."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether a path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
