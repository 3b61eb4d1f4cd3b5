"""Units done in this process, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from visdiv_assets.orchestration.engines.interface import Result, Unit, Work, Worker
from visdiv_assets.progress import Progress, silent


class LocalEngine:
    """Does units here, in their order. Work is opened at the first unit, and not at all where there is none."""

    def __init__(self, worker: Worker) -> None:
        """Say what this process works with."""
        self._worker = worker

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """As `Engine.map`, in the order of the units."""
        if units:
            function = work.open(self._worker)
            for number, unit in enumerate(units):
                yield number, function(unit, progress)

    def close(self) -> None:
        """Nothing is kept."""
