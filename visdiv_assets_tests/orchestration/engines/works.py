"""Work for the tests of engines, in a module that other processes can import."""

from __future__ import annotations

import hashlib
import os
import pickle
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines import Engine, PerProcess, Work, Worker
from visdiv_assets.progress import Progress, silent


@dataclass(frozen=True)
class Squares:
    """Squares numbers, and returns the device and the process too; refuses negative numbers."""

    holds_model: bool
    uses_device: ClassVar[bool] = False

    def open(self, worker: Worker) -> Callable[[int, Progress], tuple[int, str, int]]:
        def square(number: int, progress: Progress) -> tuple[int, str, int]:
            if number < 0:
                raise VisdivError(f"{number} is negative: give another number")
            progress(number)
            return number**2, worker.device, os.getpid()

        return square

    def size(self, unit: int) -> int:
        return unit


@dataclass(frozen=True)
class Dying:
    """Kills its process at the first `times` attempts at the number 2; each attempt leaves a file."""

    folder: str
    times: int
    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = False

    def open(self, worker: Worker) -> Callable[[int, Progress], int]:
        def work(number: int, progress: Progress) -> int:
            (Path(self.folder) / f"{number} {uuid.uuid4().hex}").touch()
            if number == 2 and len(self.attempts(2)) <= self.times:
                os._exit(9)
            return number

        return work

    def size(self, unit: int) -> int:
        return 1

    def attempts(self, number: int) -> list[Path]:
        return list(Path(self.folder).glob(f"{number} *"))


@dataclass(frozen=True)
class Opening:
    """Returns the opened object and the process that opened it."""

    opened: PerProcess[tuple[str, int]]
    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = False

    def open(self, worker: Worker) -> Callable[[int, Progress], tuple[str, int]]:
        return lambda number, progress: self.opened.get()

    def size(self, unit: int) -> int:
        return 1


def opened_here() -> tuple[str, int]:
    return "opened", os.getpid()


def here() -> str:
    """Return the node of the Ray cluster that this process runs on; empty without a cluster."""
    import ray

    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""


@dataclass(frozen=True)
class Watched:
    """Wraps work: each unit takes longer, and logs its beginning and end in a folder."""

    work: Any
    folder: str
    seconds: float

    @property
    def holds_model(self) -> bool:
        return bool(self.work.holds_model)

    @property
    def uses_device(self) -> bool:
        return bool(self.work.uses_device)

    def open(self, worker: Worker) -> Callable[[Any, Progress], Any]:
        function = self.work.open(worker)

        def watched(unit: Any, progress: Progress) -> Any:
            key = f"{hashlib.sha256(pickle.dumps(unit)).hexdigest()[:16]} {uuid.uuid4().hex}"
            (Path(self.folder) / f"begun {key}").write_text(here())
            time.sleep(self.seconds)
            result = function(unit, progress)
            (Path(self.folder) / f"ended {key}").write_text(here())
            return result

        return watched

    def size(self, unit: Any) -> int:
        return int(self.work.size(unit))


class Watching:
    """An engine that runs work as `Watched`, except for describing a model."""

    def __init__(self, engine: Engine, folder: Path, seconds: float) -> None:
        self._engine, self._folder, self._seconds = engine, folder, seconds

    def map(
        self, work: Work[Any, Any], units: Sequence[Any], progress: Progress = silent
    ) -> Generator[tuple[int, Any]]:
        if units != [None]:
            work = Watched(work, str(self._folder), self._seconds)
        return self._engine.map(work, units, progress)

    def close(self) -> None:
        self._engine.close()
