"""One process per device of this machine for work that holds a model."""

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

#: How often a unit is begun: one whose worker was lost each time would be lost for ever.
ATTEMPTS = 3


class ProcessEngine:
    """Gives every worker a unit at a time; a worker that is lost is replaced, and its unit done again.

    Work without a model is done in this process, as `LocalEngine` does it.
    """

    def __init__(self, workers: Sequence[Worker], here: Worker) -> None:
        """Say what the processes work with, one for each worker, and this process."""
        self._workers = list(workers)
        self._here = LocalEngine(here)
        self._pools: list[ProcessPoolExecutor | None] = [None] * len(self._workers)

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """As `Engine.map`."""
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
                    number, place = waiting.popleft(), idle.pop()
                    attempts[number] += 1
                    future = self._pool(place).submit(outcome, pickled, self._workers[place], units[number])
                    running[future] = (number, place)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    number, place = running.pop(future)
                    idle.append(place)
                    try:
                        returned = future.result()
                    except BrokenProcessPool:
                        self._replace(place, attempts[number])
                        waiting.appendleft(number)
                        continue
                    result: Result = result_of(returned)
                    progress(work.size(units[number]))
                    yield number, result
        finally:
            # Whoever stops in the middle, by an error or on purpose, does not wait for units that nobody wants.
            if running:
                self._end()

    def close(self) -> None:
        """End the processes, which have nothing to do."""
        for pool in self._pools:
            if pool is not None:
                pool.shutdown()
        self._pools = [None] * len(self._pools)

    def _pool(self, place: int) -> ProcessPoolExecutor:
        pool = self._pools[place]
        if pool is None:
            # Not forked: a process that has used CUDA leaves its children a broken one.
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            self._pools[place] = pool
        return pool

    def _replace(self, place: int, attempts: int) -> None:
        device = self._workers[place].device
        if attempts >= ATTEMPTS:
            raise VisdivError(
                f"the worker on {device} died {attempts} times over the same unit of work: look for what killed it, "
                "which is lack of memory most often, and start the run again"
            )
        logger.warning("the worker on %s has died: it is replaced, and its unit of work done again", device)
        pool, self._pools[place] = self._pools[place], None
        if pool is not None:
            pool.shutdown(wait=False)

    def _end(self) -> None:
        for pool in self._pools:
            if pool is not None:
                for process in list((pool._processes or {}).values()):
                    process.terminate()
                pool.shutdown(wait=False, cancel_futures=True)
        self._pools = [None] * len(self._pools)
