"""One process for each GPU, as `VISDIV_DEVICE=cuda:all` starts them, with the vectors of one device compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visdiv_assets.devices import cuda_devices
from visdiv_assets.embedding.extract import ImageEmbedder
from visdiv_assets.embedding.sscd.torchscript import TorchSscd
from visdiv_assets.orchestration.engines.interface import Worker
from visdiv_assets.orchestration.engines.processes import ProcessEngine
from visdiv_assets.perf.gpu.embedding import jpeg_files
from visdiv_assets.perf.gpu.models import sscd_file
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress
from visdiv_assets.threads import thread_count

#: Processes where there is no GPU.
CPU_PROCESSES = 2
#: Units of work for each process.
UNITS = 4


class _Embedding(NamedTuple):
    """Embeds lists of files, as `engines.interface.Work`."""

    weights: Path

    @property
    def holds_model(self) -> bool:
        return True

    @property
    def uses_device(self) -> bool:
        return True

    def open(self, worker: Worker) -> Callable[[list[Path], Progress], np.ndarray]:
        extractor = ImageEmbedder(TorchSscd(self.weights, worker.device), threads=worker.threads)
        return lambda files, _: extractor.extract(files, progress=False).vectors

    def size(self, unit: list[Path]) -> int:
        return len(unit)


def measure_all_devices(setup: Setup) -> list[Figure]:
    """Embed JPEG files with SSCD in one process for each device, after a first unit that starts each process."""
    devices = cuda_devices() if setup.device != "cpu" else ["cpu"] * CPU_PROCESSES
    cores = thread_count(0)
    workers = [Worker(device, max(cores // len(devices), 1)) for device in devices]
    work = _Embedding(sscd_file(setup.folder, whole=setup.sizes.whole_models))
    files = jpeg_files(setup)
    first = files[: setup.sizes.different]
    units = [files[start :: UNITS * len(devices)] for start in range(UNITS * len(devices))]
    engine = ProcessEngine(workers, Worker(devices[0], cores))
    try:
        together = dict(engine.map(work, [first] * len(devices)))
        begin = time.perf_counter()
        embedded = sum(len(vectors) for _, vectors in engine.map(work, units))
        seconds = time.perf_counter() - begin
    finally:
        engine.close()
    alone = work.open(workers[0])(first, lambda done: None)
    difference = max(float(np.abs(vectors - alone).max()) for vectors in together.values())
    return [
        Figure(
            f"SSCD vectors of {embedded:,} JPEG files in {len(devices)} processes, cuda:all, on {setup.where}",
            embedded / seconds,
            "images/s",
            remark=f"{len(units)} units, {cores} cores decode; vectors differ from one process's by {difference:.0e}",
        )
    ]
