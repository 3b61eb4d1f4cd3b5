"""What every engine promises, and what work has to be like to be done by any of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from visdiv_assets.progress import Progress, silent

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Opened = TypeVar("Opened")
UnitIn = TypeVar("UnitIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


class Worker(NamedTuple):
    """The place where work is opened.

    Attributes:
        device: for models and joins, as the setting names it: "auto", "cpu", "cuda", "cuda:1".
        threads: threads that decode and compare images.
    """

    device: str
    threads: int


class Work(Protocol[UnitIn, ResultOut]):
    """Work of one kind, which can be sent to another process: it is pickled before it is opened.

    Attributes:
        holds_model: whether opening loads a model, so that few workers are opened and kept for all units.
        uses_device: whether it computes on the worker's device; else it needs no GPU.
    """

    holds_model: ClassVar[bool]
    uses_device: ClassVar[bool]

    def open(self, worker: Worker) -> Callable[[UnitIn, Progress], ResultOut]:
        """Get ready, once in each process; what is returned does one unit, which depends on nothing else."""
        ...

    def size(self, unit: UnitIn) -> int:
        """What a unit counts for in progress: as much as its function reports in all."""
        ...


class Engine(Protocol):
    """Does units of work somewhere."""

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """Do all units.

        Args:
            work: what is to be done.
            units: to what; they must be picklable, as must the results.
            progress: told of what is done.

        Yields:
            the number of a unit and its result, in the order in which they are finished.

        Raises:
            VisdivError: as the work raises it; or workers were lost again and again.
        """
        ...

    def close(self) -> None:
        """Let workers go. The engine can be used again."""
        ...


class PerProcess(Generic[Opened]):
    """Something that every process opens for itself, such as a source: what is opened here is not sent along."""

    def __init__(self, opener: Callable[[], Opened], opened: Opened | None = None) -> None:
        """Say how it is opened, by a picklable function, and what this process has opened already."""
        self._opener = opener
        self._opened = opened

    def get(self) -> Opened:
        """What this process has opened, now or before."""
        if self._opened is None:
            self._opened = self._opener()
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {"_opener": self._opener, "_opened": None}
