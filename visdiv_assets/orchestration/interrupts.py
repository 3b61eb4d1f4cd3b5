"""Stop work at a signal at once, whatever it does or waits for."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Result = TypeVar("Result")

#: Seconds between two calls of a watcher.
WATCH_SECONDS = 2.0

#: Seconds that recording a stop may take.
STOP_SECONDS = 0.7


class Stopped(KeyboardInterrupt):
    """A signal has stopped work whose threads may still run: the process must end without waiting for them."""


class StoppableThread:
    """A thread that runs one piece of work after the other, each until a signal stops it.

    Dagster defers signals while it executes a run in the main thread: until a step ends, or for as long as one waits
    for a slot. In another thread it leaves signals alone, so that they reach the main thread here.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="work", initializer=_leave_interrupts_to_others)
        self._thread = self._executor.submit(threading.get_ident).result()

    def run(self, work: Callable[[], Result], *, watch: Callable[[], None], stopped: Callable[[], None]) -> Result:
        """Run work and return its result.

        Args:
            work: the work.
            watch: called in this thread, every two seconds until the work ends.
            stopped: called in another thread after a signal has stopped the work, for as long as `STOP_SECONDS`.

        Raises:
            Stopped: a signal raised KeyboardInterrupt in this thread.
        """
        future = self._executor.submit(copy_context().run, work)
        try:
            while True:
                try:
                    return future.result(WATCH_SECONDS)
                except TimeoutError:
                    if future.done():
                        raise
                watch()
        except KeyboardInterrupt as interrupt:
            if future.done():
                raise
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            self._interrupt()
            ending = threading.Thread(target=stopped, daemon=True)
            ending.start()
            ending.join(STOP_SECONDS)
            for process in multiprocessing.active_children():
                process.terminate()
            raise Stopped from interrupt

    def _interrupt(self) -> None:
        """Raise KeyboardInterrupt in the thread as soon as it runs Python code, so that it begins nothing more."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt))


def _leave_interrupts_to_others() -> None:
    """Block SIGINT in this thread and in the processes that it starts.

    A terminal sends Ctrl-C to all processes of a command. Those with which Dagster copies the output of a step would
    end with a stack trace, before they have copied the rest.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
