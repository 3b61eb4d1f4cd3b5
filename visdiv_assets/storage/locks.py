"""One writer at a time, among the processes of one machine.

A lock is a file in `.locks` of a lake on a disk. The system releases it when its process ends, however that ends.
A lake on object storage has no locks: the last commit wins, and its state is complete.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.error_messages import write_error

logger = logging.getLogger(__name__)

#: Folder of the locks in a lake's root; a table's name never begins with a dot.
LOCKS = ".locks"

_ending: ContextVar[ExitStack | None] = ContextVar("visdiv_locks_ending", default=None)


class ConcurrentWriteError(StorageError):
    """Another process wrote a partition from other inputs while this one waited: this one may have read old inputs."""


class Hold:
    """A lock that this process holds until `release`, or until the `Hold` is garbage-collected.

    A process may hold a lock several times and keeps it until each `Hold` is released, so that a retry after a failed
    attempt does not wait for itself.

    Attributes:
        waited: whether another process held the lock, so that this one had to wait.
        first: whether this process did not hold the lock already.
    """

    def __init__(self, path: Path, what: str) -> None:
        """Wait until no other process holds the lock, and hold it.

        Args:
            path: the lock's file; it is created if it does not exist, and never removed.
            what: what the lock protects, for the log.

        Raises:
            StorageError: the file cannot be created.
        """
        from filelock import FileLock, Timeout

        self.waited = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, is_singleton=True, thread_local=False)
            self.first = not lock.is_locked
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self.waited = True
                logger.warning("waiting for another run, which is writing %s", what)
                lock.acquire()
        except OSError as error:
            raise write_error(str(path), error) from error
        self._finalizer = weakref.finalize(self, lock.release)
        if ending := _ending.get():
            ending.callback(self._finalizer)

    def release(self) -> None:
        """Release the lock; further calls do nothing."""
        self._finalizer()


@contextmanager
def release_all() -> Iterator[None]:
    """Release, at the end of the block, all locks taken in it that are still held, for example after an exception."""
    with ExitStack() as ending:
        token = _ending.set(ending)
        try:
            yield
        finally:
            _ending.reset(token)
