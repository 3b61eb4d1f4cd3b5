"""Units done on a Ray cluster: scheduling, retries and transport are Ray's.

Work that holds a model goes through Ray Data, whose pool of actors holds it; all else is tasks. Ray repeats what was
lost with a node, and nothing else. Workers need this package, and must reach the lake and the source by the same paths
or URIs; they return results, and the process that asked writes them.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines.interface import Result, Unit, Work, Worker
from visdiv_assets.orchestration.engines.remote import outcome, result_of
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import thread_count

#: Ray repeats a unit whose node was lost as often as it takes; a unit that kills its worker each time is given up.
RETRIES = 3

#: Ray's own switch, read when it is imported: whether nodes on several machines make a cluster. Without them it listens
#: on loopback alone; with them it would replace a loopback address by one that others can reach.
SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

#: How long a cluster may take to answer.
SECONDS_TO_ANSWER = 10.0


class RayEngine:
    """Does units on the cluster at an address, or on one that it starts on this machine, which listens on loopback."""

    def __init__(self, address: str, worker: Worker, *, workers: int = 0, gpus: float = 0.0) -> None:
        """Describe the workers; the cluster is contacted when there is something to do.

        Args:
            address: of the cluster; empty: one is started here.
            worker: what each worker works with; its threads are the CPUs that are reserved for it.
            workers: actors that hold a model, at most; 0: as many as the cluster has room for.
            gpus: GPUs of each worker that uses the device.
        """
        self._address = address
        self._worker = worker
        self._workers = workers
        self._gpus = gpus
        self._connected = False

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """As `Engine.map`."""
        if not units:
            return
        self._connect()
        pickled = pickle.dumps(work)
        options: dict[str, Any] = {
            "num_cpus": self._worker.threads,
            "num_gpus": self._gpus if work.uses_device else 0,
            "runtime_env": {"env_vars": _threads_of_products()},
        }
        # A pool of actors takes seconds to start, and one unit needs none.
        pooled = work.holds_model and len(units) > 1
        returned = self._pooled(pickled, units, options) if pooled else self._tasks(pickled, units, options)
        for number, found in returned:
            result: Result = result_of(found)
            progress(work.size(units[number]))
            yield number, result

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._connected:
            import ray

            ray.shutdown()
            self._connected = False

    def _connect(self) -> None:
        if not self._address:
            os.environ.setdefault(SEVERAL_MACHINES, "0")
        try:
            import ray
        except ImportError:
            raise VisdivError("VISDIV_ENGINE=ray needs Ray: pip install 'visdiv-assets[ray]'") from None
        if ray.is_initialized():
            return
        try:
            if self._address:
                _knock(self._address)
                ray.init(self._address, logging_level=logging.WARNING)
            else:
                ray.init(
                    "local",
                    num_cpus=max(thread_count(0), self._worker.threads),
                    include_dashboard=False,
                    logging_level=logging.WARNING,
                    _node_ip_address="127.0.0.1",
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise VisdivError(f"the Ray cluster at {self._address or 'this machine'} cannot be used: {error}") from None
        self._connected = True

    def _tasks(self, work: bytes, units: Sequence[Any], options: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        import ray

        task = ray.remote(**options, max_retries=RETRIES)(outcome)
        shared = ray.put(work)
        numbers = {task.remote(shared, self._worker, unit): number for number, unit in enumerate(units)}
        try:
            while numbers:
                (done,), _ = ray.wait(list(numbers))
                yield numbers.pop(done), ray.get(done)
        finally:
            for unwanted in numbers:
                ray.cancel(unwanted)

    def _pooled(self, work: bytes, units: Sequence[Any], options: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # An actor opens nothing before its first unit: if it dies before, its node was lost, or it was not needed.
        context.max_consecutive_actor_init_deaths = -1
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        most = min(self._workers or len(units), len(units))
        items = [{"number": number, "unit": pickle.dumps(unit)} for number, unit in enumerate(units)]
        # One unit is one block: what is repeated where a node is lost.
        made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(work, self._worker),
            compute=ActorPoolStrategy(min_size=min(self._workers or 1, most), max_size=most),
            **options,
        )
        batches: Iterable[Any] = made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        for batch in batches:
            for number, found in zip(batch["number"].to_pylist(), batch["found"], strict=True):
                yield number, pickle.loads(found.as_buffer())


class _Actor:
    """A process of the pool; the work, and with it the model, is opened at its first unit and kept."""

    def __init__(self, work: bytes, worker: Worker) -> None:
        self._work, self._worker = work, worker

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        units = [pickle.loads(unit.as_buffer()) for unit in batch["unit"]]
        found = [pickle.dumps(outcome(self._work, self._worker, unit), protocol=5) for unit in units]
        return pa.table({"number": batch["number"], "found": pa.array(found, pa.large_binary())})


def _knock(address: str) -> None:
    """Raise OSError where nobody listens, for which Ray would wait eight minutes; `auto` names no port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()


def _threads_of_products() -> dict[str, str]:
    """Variables that give matrix products in the workers as many threads as they have here.

    The last bits of a product depend on their number, and Ray would set it to the CPUs that a worker reserves.
    """
    from threadpoolctl import threadpool_info

    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
