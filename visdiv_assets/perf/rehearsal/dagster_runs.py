"""Materialization of the rehearsal's assets through Dagster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from visdiv_assets.orchestration.asset_runs import prepare_materialization
from visdiv_assets.perf.measuring import own_mb
from visdiv_assets.progress import showing
from visdiv_assets.settings import Settings


def materialize(settings: Settings, asset: str, partitions: Sequence[str]) -> Callable[[], float | None]:
    """Prepare to materialize one asset through Dagster; implements `perf.rehearsal.stages.Materialize`."""
    run = prepare_materialization(settings, str(asset), partitions)
    before = own_mb()

    def measured() -> float | None:
        with showing(sys.stderr):
            run()
        return before

    return measured
