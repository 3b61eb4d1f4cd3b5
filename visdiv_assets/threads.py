"""Work mapped over threads in order, with a bounded number of items in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count(setting: int) -> int:
    """Threads to use for a setting where 0 means one per core that this process may run on."""
    return (
        setting or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else setting or os.cpu_count() or 1
    )


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int = 2
) -> Iterator[Result]:
    """Yield `function(item)` in the order of the items.

    The items are drawn lazily: at most `threads * ahead` are held at a time, so memory is bounded by those however many
    follow. The first exception ends the iteration; work that has not begun is then dropped.

    Args:
        function: called in a worker thread; it should release the GIL where it works hard.
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
