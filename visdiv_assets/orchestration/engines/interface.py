"""The interface of engines, and of the work that any of them can run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from visdiv_assets.progress import Progress, silent

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Opened = TypeVar("Opened")
UnitIn = TypeVar("UnitIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Worker(NamedTuple):
    """The resources of the process that runs work.

    Attributes:
        device: for models and joins, in the notation of the setting: "auto", "cpu", "cuda", "cuda:1".
        threads: number of threads that decode and compare images.
    """

    device: str
    threads: int


class Work(Protocol[UnitIn, ResultOut]):
    """Work of one kind, which can be sent to another process: it is pickled before it is opened."""

    @property
    def holds_model(self) -> bool:
        """Whether opening loads a model; an engine then opens few workers and keeps them for all units."""
        ...

    @property
    def uses_device(self) -> bool:
        """Whether the work computes on the worker's device; if not, it needs no GPU."""
        ...

    def open(self, worker: Worker) -> Callable[[UnitIn, Progress], ResultOut]:
        """Prepare the work, once in each process, and return a function that does one unit independently of others."""
        ...

    def size(self, unit: UnitIn) -> int:
        """Return the amount of progress that a unit stands for: the sum that its function reports."""
        ...


class Engine(Protocol):
    """Runs units of work."""

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """Run all units.

        Args:
            work: the work to do.
            units: the units; units and results must be picklable.
            progress: called with the amount of work finished, as `Work.size` counts it.

        Yields:
            the index of a unit and its result, in the order in which the units finish.

        Raises:
            VisdivError: raised by the work; or the same unit lost its worker several times.
        """
        ...

    def close(self) -> None:
        """Release the workers. The engine can be used again."""
        ...


class PerProcess(Generic[Opened]):
    """An object that every process opens for itself, such as a source; pickling sends only the way to open it."""

    def __init__(self, opener: Callable[[], Opened], opened: Opened | None = None) -> None:
        """Wrap an object.

        Args:
            opener: picklable function that opens it.
            opened: the object, if this process has opened it already.
        """
        self._opener = opener
        self._opened = opened

    def get(self) -> Opened:
        """Return the object, opened by this process once."""
        if self._opened is None:
            self._opened = self._opener()
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {"_opener": self._opener, "_opened": None}
