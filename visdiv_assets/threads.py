"""Map work over threads in order, with a bounded number of items in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="visdiv") as executor:
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                if len(pending) >= threads * ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
