"""The engine that runs units in this process, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from visdiv_assets.orchestration.engines.interface import Result, Unit, Work, Worker
from visdiv_assets.progress import Progress, silent


class LocalEngine:
    """Runs units in this process, in order. Work is opened only if there is a unit."""

    def __init__(self, worker: Worker) -> None:
        """Create the engine with the resources of this process."""
        self._worker = worker

    def map(
        self, work: Work[Unit, Result], units: Sequence[Unit], progress: Progress = silent
    ) -> Generator[tuple[int, Result]]:
        """Run all units in order; see `Engine.map`."""
        if units:
            function = work.open(self._worker)
            for index, unit in enumerate(units):
                yield index, function(unit, progress)

    def close(self) -> None:
        """Do nothing: no worker is kept."""
