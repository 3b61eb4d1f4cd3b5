"""One writer at a time, among the processes of one machine.

A lock is a file below `.locks` in a lake on a disk. The system lets go of it when its process ends, however that ends.
A lake on object storage has no locks: there, whoever commits last wins, and its state is whole all the same.
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
    """Another process wrote, from other inputs, what this one waited for: what this one has read may be old."""


class Hold:
    """A lock that this process holds until `release`, or until nobody has the `Hold` any more.

    A process may hold a lock several times, and has it until it has let go as often: whoever begins again after a
    failed attempt does not wait for itself.

    Attributes:
        waited: whether another process held it first.
        first: whether this process did not hold it already.
    """

    def __init__(self, path: Path, what: str) -> None:
        """Wait until no other process holds the lock, and hold it.

        Args:
            path: the lock's file, which is made if need be and stays.
            what: what is written meanwhile, for the log.

        Raises:
            StorageError: the file cannot be made.
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
        """Let go; the second time nothing happens."""
        self._finalizer()


@contextmanager
def release_all() -> Iterator[None]:
    """Let go, at the end of the block, of every lock that was taken in it and is still held, as after an exception."""
    with ExitStack() as ending:
        token = _ending.set(ending)
        try:
            yield
        finally:
            _ending.reset(token)
