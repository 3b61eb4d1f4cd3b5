"""The engine that runs units on a Ray cluster, which schedules, retries and transports them.

Work that holds a model runs in a pool of actors of Ray Data; other work runs as tasks. Ray repeats only units that were
lost with a node. Workers need this package, and must reach the lake and the source by the same paths or URIs; they
return results, and the calling process writes them.
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

#: Retries of a unit that kills its worker. A unit whose node was lost is retried without limit.
MAX_RETRIES = 3

#: Variable that Ray reads when it is imported: whether a cluster spans several machines. If not, Ray listens on
#: loopback only; if so, it would replace a loopback address by one that other machines can reach.
SEVERAL_MACHINES = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

#: Seconds after which a cluster that does not answer counts as unreachable.
CONNECT_SECONDS = 10.0


class RayEngine:
    """Runs units on the cluster at an address, or on one that it starts on this machine, listening on loopback."""

    def __init__(self, address: str, worker: Worker, *, workers: int = 0, gpus: float = 0.0) -> None:
        """Create the engine; it connects to the cluster with the first unit.

        Args:
            address: of the cluster; empty to start one on this machine.
            worker: the resources of each worker; its threads are the CPUs that are reserved for it.
            workers: maximum number of actors that hold a model; 0 for as many as the cluster has room for.
            gpus: number of GPUs of each worker that uses the device.
        """
        self._address = address
        self._worker = worker
        self._workers = workers
        self._gpus = gpus
        self._connected = False

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """Run all units; see `Engine.map`."""
        if not units:
            return
        self._connect()
        pickled = pickle.dumps(work)
        options: dict[str, Any] = {
            "num_cpus": self._worker.threads,
            "num_gpus": self._gpus if work.uses_device else 0,
            "runtime_env": {"env_vars": _thread_variables()},
        }
        # Starting a pool of actors takes seconds, too long for a single unit.
        pooled = work.holds_model and len(units) > 1
        returned = self._run_in_pool(pickled, units, options) if pooled else self._run_as_tasks(pickled, units, options)
        for index, found in returned:
            result: Result = result_of(found)
            progress(work.size(units[index]))
            yield index, result

    def close(self) -> None:
        """Disconnect from the cluster; a cluster that was started here ends."""
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
                _check_reachable(self._address)
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

    def _run_as_tasks(self, work: bytes, units: Sequence[Any], options: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        import ray

        task = ray.remote(**options, max_retries=MAX_RETRIES)(outcome)
        shared = ray.put(work)
        indices = {task.remote(shared, self._worker, unit): index for index, unit in enumerate(units)}
        try:
            while indices:
                (done,), _ = ray.wait(list(indices))
                yield indices.pop(done), ray.get(done)
        finally:
            for unwanted in indices:
                ray.cancel(unwanted)

    def _run_in_pool(self, work: bytes, units: Sequence[Any], options: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        import ray
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        # An actor opens nothing before its first unit, so one that dies earlier was lost with its node or not needed.
        context.max_consecutive_actor_init_deaths = -1
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        max_size = min(self._workers or len(units), len(units))
        items = [{"index": index, "unit": pickle.dumps(unit)} for index, unit in enumerate(units)]
        # One block per unit, since Ray repeats whole blocks when a node is lost.
        made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(work, self._worker),
            compute=ActorPoolStrategy(min_size=min(self._workers or 1, max_size), max_size=max_size),
            **options,
        )
        batches: Iterable[Any] = made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        for batch in batches:
            for index, found in zip(batch["index"].to_pylist(), batch["found"], strict=True):
                yield index, pickle.loads(found.as_buffer())


class _Actor:
    """A process of the pool; it opens the work, and so loads the model, with its first unit and keeps it."""

    def __init__(self, work: bytes, worker: Worker) -> None:
        self._work, self._worker = work, worker

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        units = [pickle.loads(unit.as_buffer()) for unit in batch["unit"]]
        found = [pickle.dumps(outcome(self._work, self._worker, unit), protocol=5) for unit in units]
        return pa.table({"index": batch["index"], "found": pa.array(found, pa.large_binary())})


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at an address, where Ray would wait eight minutes; `auto` names no port."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _thread_variables() -> dict[str, str]:
    """Return variables that give matrix products in the workers as many threads as in this process.

    The last bits of a product depend on the number of threads, which Ray would set to the CPUs that a worker reserves.
    """
    from threadpoolctl import threadpool_info

    threads = max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)
    return {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
