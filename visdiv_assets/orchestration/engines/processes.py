"""The engine with one process for each device of this machine, for work that holds a model."""

from __future__ import annotations

import logging
import multiprocessing
import pickle
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines.interface import Result, Unit, Work, Worker
from visdiv_assets.orchestration.engines.local import LocalEngine
from visdiv_assets.orchestration.engines.remote import outcome, result_of
from visdiv_assets.progress import Progress, silent

logger = logging.getLogger(__name__)

#: Attempts at a unit that loses its worker each time.
MAX_ATTEMPTS = 3


class ProcessEngine:
    """Gives each worker one unit at a time; a worker that dies is replaced and its unit retried.

    Work without a model runs in this process, as in `LocalEngine`.
    """

    def __init__(self, workers: Sequence[Worker], here: Worker) -> None:
        """Create the engine; processes start with the first unit.

        Args:
            workers: the resources of each process.
            here: the resources of this process.
        """
        self._workers = list(workers)
        self._here = LocalEngine(here)
        self._pools: list[ProcessPoolExecutor | None] = [None] * len(self._workers)

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """Run all units; see `Engine.map`."""
        if not work.holds_model:
            yield from self._here.map(work, units, progress)
            return
        pickled = pickle.dumps(work)
        waiting = deque(range(len(units)))
        attempts = [0] * len(units)
        running: dict[Future[Any], tuple[int, int]] = {}
        idle = list(range(len(self._workers)))[::-1]
        try:
            while waiting or running:
                while waiting and idle:
                    index, slot = waiting.popleft(), idle.pop()
                    attempts[index] += 1
                    future = self._pool(slot).submit(outcome, pickled, self._workers[slot], units[index])
                    running[future] = (index, slot)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index, slot = running.pop(future)
                    idle.append(slot)
                    try:
                        returned = future.result()
                    except BrokenProcessPool:
                        self._replace(slot, attempts[index])
                        waiting.appendleft(index)
                        continue
                    result: Result = result_of(returned)
                    progress(work.size(units[index]))
                    yield index, result
        finally:
            # A caller that stops early, because of an error or on purpose, does not wait for units in progress.
            if running:
                self._end()

    def close(self) -> None:
        """End the idle processes."""
        for pool in self._pools:
            if pool is not None:
                pool.shutdown()
        self._pools = [None] * len(self._pools)

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        pool = self._pools[slot]
        if pool is None:
            # Spawned, since CUDA does not work in a forked process if its parent has used it.
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            self._pools[slot] = pool
        return pool

    def _replace(self, slot: int, attempts: int) -> None:
        device = self._workers[slot].device
        if attempts >= MAX_ATTEMPTS:
            raise VisdivError(
                f"the worker on {device} died {attempts} times while it ran the same unit of work: find out what "
                "killed it, most often a lack of memory, and start the run again"
            )
        logger.warning("the worker on %s has died: it is replaced, and its unit of work is retried", device)
        pool, self._pools[slot] = self._pools[slot], None
        if pool is not None:
            pool.shutdown(wait=False)

    def _end(self) -> None:
        for pool in self._pools:
            if pool is not None:
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                pool.shutdown(wait=False, cancel_futures=True)
        self._pools = [None] * len(self._pools)
