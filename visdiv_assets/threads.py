"""Map work over threads in order, with a bounded number of items and bytes in flight."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count(setting: int) -> int:
    """Return the number of threads for a setting; 0 means one per core that this process may use."""
    if setting:
        return setting
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int = 2
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items.

    Items are drawn lazily: at most `threads * ahead` are in flight, which bounds memory. The first exception ends the
    iteration and cancels the work that has not started.

    Args:
        function: called in a worker thread; it should release the GIL during heavy work.
        items: drawn in the calling thread.
        threads: number of worker threads.
        ahead: items in flight for each thread.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="visdiv") as executor:
        yield from map_in(executor, function, items, most=threads * ahead)


def map_in(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    most: int,
    bytes_of: Callable[[Item], int] = lambda item: 0,
    most_bytes: int = 0,
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items, as `ordered_map` does, in the threads of an executor.

    Args:
        executor: it may do other work too.
        function: called in its threads.
        items: drawn in the calling thread.
        most: maximum number of items in flight.
        bytes_of: the size of an item.
        most_bytes: maximum size of the items in flight; a larger item is in flight alone.
    """
    pending: deque[tuple[Future[Result], int]] = deque()
    held = 0
    try:
        for item in items:
            size = bytes_of(item)
            while pending and held + size > most_bytes:
                held -= pending[0][1]
                yield pending.popleft()[0].result()
            held += size
            pending.append((executor.submit(function, item), size))
            if len(pending) >= most:
                held -= pending[0][1]
                yield pending.popleft()[0].result()
        while pending:
            yield pending.popleft()[0].result()
    finally:
        for future, _ in pending:
            future.cancel()


class ByteBudget:
    """Limits the memory that several threads take at once; a thread waits until its share is free."""

    def __init__(self, size_bytes: int) -> None:
        """Begin with all bytes free.

        Args:
            size_bytes: the limit; who asks for more gets all of it, and is alone.
        """
        self._size = self._free = size_bytes
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size_bytes: int) -> Iterator[None]:
        """Wait for a number of bytes, and hold them inside the block; a thread that holds some must not ask again."""
        share = min(size_bytes, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()
