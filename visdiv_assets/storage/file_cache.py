"""Fetched files on disk: each once, verified, within a limit, shared by all processes.

A file is named by its content and is only there when it is complete. What is being fetched has the ending `.part`; the
process that fetches it holds a lock on it, and another one that wants the file waits. Whoever reads a file holds a
shared lock on it, so that nobody removes it meanwhile. Locks end with their process, however that ends; a `.part` of a
process that was killed is gone on with. Locks are of the file itself (flock), so there are no lock files to clean up.
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
from visdiv_assets.storage.files import sync_folder

logger = logging.getLogger(__name__)

PART = ".part"

#: Seconds between two looks at a file that another process is fetching.
LOOK_SECONDS = 0.1


class FileCache:
    """A folder of fetched files that holds at most so many bytes, as far as files in use allow."""

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int = 0) -> None:
        """Open a folder, which need not exist yet.

        Args:
            folder: the folder; nothing else may lie in it.
            max_bytes: size of all its files together. More than this are there only while they are in use.
            reserve_bytes: what is to stay free on its disk, as `space.require_space` has it.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes

    def holds(self, key: str) -> bool:
        """Whether a file is there."""
        return (self._folder / key).exists()

    @contextmanager
    def file(self, key: str, size_bytes: int, fetch: Callable[[BinaryIO], None]) -> Iterator[Path]:
        """A file that stays where it is inside the block, fetched first if it is not there.

        Args:
            key: its name, which stands for its content.
            size_bytes: its size.
            fetch: writes the file and verifies it; gets a stream for reading and writing that may hold its beginning.

        Raises:
            StorageError: the folder cannot be written, its disk is full but for the reserve, or `fetch` raised it.
        """
        path = self._folder / key
        try:
            descriptor = self._shared(path, size_bytes)
            while descriptor is None:
                descriptor = self._fetched(path, size_bytes, fetch)
        except OSError as error:
            raise write_error(str(path), error) from error
        try:
            yield path
        finally:
            os.close(descriptor)
            self._make_room(0)

    def _shared(self, path: Path, size_bytes: int) -> int | None:
        """A descriptor with a shared lock on a complete file; None if there is none."""
        while True:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if _is_at(descriptor, path):
                if os.fstat(descriptor).st_size == size_bytes:
                    now = time_ns()
                    os.utime(descriptor, ns=(now, now))  # The time of change says when it was last used.
                    return descriptor
                path.unlink(missing_ok=True)  # Damaged since: it was complete when it got its name.
            os.close(descriptor)

    def _fetched(self, path: Path, size_bytes: int, fetch: Callable[[BinaryIO], None]) -> int | None:
        """Fetch a file unless another does; a descriptor as of `_shared`, or None if one has to look again."""
        descriptor = self._own_part(path)
        if descriptor is None:
            return self._shared(path, size_bytes)
        try:
            part = path.with_name(path.name + PART)
            if path.exists():
                part.unlink()
                return self._shared(path, size_bytes)
            self._make_room(size_bytes - os.fstat(descriptor).st_size)
            disk_space.require_space(self._folder, self._reserve_bytes)
            with os.fdopen(descriptor, "r+b", closefd=False) as stream:
                fetch(stream)
                stream.flush()
                os.fsync(descriptor)
            part.rename(path)
            sync_folder(path.parent)
            # Others may read it from here on. If somebody removes it before we do, the caller fetches it again.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            return self._shared(path, size_bytes)
        finally:
            os.close(descriptor)

    def _own_part(self, path: Path) -> int | None:
        """A descriptor with an exclusive lock on the file's part; None once another process has fetched the file."""
        part = path.with_name(path.name + PART)
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = False
        while not path.exists():
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
            if _locked(descriptor) and _is_at(descriptor, part):
                return descriptor
            os.close(descriptor)
            if not waiting:
                logger.info("waiting for %s, which another thread or process is fetching", path.name)
                waiting = True
            sleep(LOOK_SECONDS)
        return None

    def _make_room(self, size_bytes: int) -> None:
        """Remove files that nobody uses, those used least recently first, until there is room for so many bytes."""
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
            if _removed(path):
                logger.info("removed %s to make room", path.name)
                excess -= size


def _removed(path: Path) -> bool:
    """Remove a file unless somebody uses it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        if not _locked(descriptor) or not _is_at(descriptor, path):
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Whether an exclusive lock could be had at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one that has the name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
