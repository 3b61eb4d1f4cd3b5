"""The stages that are rehearsed, and running each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.perf.measuring import Run, measure_in_subprocess
from visdiv_assets.settings import Settings


@dataclass(frozen=True)
class Stage:
    """What is run.

    Attributes:
        name: as it is told.
        asset: the Dagster asset, and the lake's table.
        by_subset: whether it is run for each subset, or once for all.
        growth: exponent of its work in the number of images, once they are many: 2 where all are compared with all.
    """

    name: str
    asset: str
    by_subset: bool
    growth: int


STAGES = (
    Stage("near duplicates in each subset", LakeTable.NEAR_DUPLICATES, True, 2),
    Stage("diversity of each subset", LakeTable.SUBSET_DIVERSITY, True, 1),
    Stage("copies across subsets", LakeTable.CROSS_SUBSET_DUPLICATES, False, 2),
    Stage("contamination by 66 benchmarks", LakeTable.CONTAMINATION, True, 1),
    Stage("clusters and keep-best", LakeTable.DUPLICATE_CLUSTERS, False, 1),
    Stage("rows that go", LakeTable.CURATED_ROWS, False, 1),
    Stage("diversity of mixtures", LakeTable.CORPUS_DIVERSITY, False, 1),
    Stage("the DuckDB file", "warehouse", False, 1),
)


@dataclass(frozen=True)
class Outcome:
    """What a stage cost and found at one size.

    Attributes:
        stage: its name.
        images: image positions of the rehearsal.
        seconds: by the clock.
        peak_mb: highest memory of its process that is of no file, in MB (10^6 bytes); None where the system does not
            tell.
        disk_mb: what it left on the disk, in MB, in whole blocks of the file system.
        files: in how many files.
        planted: pairs that it must find; None where none are looked for.
        found: those that it found.
    """

    stage: str
    images: int
    seconds: float
    peak_mb: float | None
    disk_mb: float
    files: int
    planted: int | None
    found: int | None

    def row(self) -> dict[str, Any]:
        """The outcome as a row of the JSON file."""
        return asdict(self)


class Materialize(Protocol):
    """Prepares to run an asset; called in the stage's own process, so it must be a function of a module."""

    def __call__(self, settings: Settings, asset: str, partitions: Sequence[str]) -> Callable[[], float | None]:
        """Import and open what a run needs.

        Args:
            settings: of the rehearsal.
            asset: its name.
            partitions: what to run it for; empty: it has none.

        Returns:
            runs it, and returns the memory of the process before that, as `measuring.own_mb` gives it.
        """


def run_stage(materialize: Materialize, settings: Settings, stage: Stage, subsets: Sequence[str]) -> Run:
    """Run a stage for real; the peak is that of the whole process."""
    run = measure_in_subprocess(materialize, settings, stage.asset, subsets if stage.by_subset else [])
    peak = None if run.peak_mb is None or run.result is None else run.result + run.peak_mb
    return Run(None, run.seconds, peak)


def written(settings: Settings, stage: Stage) -> tuple[float, int]:
    """What a stage left on the disk: MB, in whole blocks, and files."""
    if stage.asset == "warehouse":
        paths = [Path(settings.warehouse_path)]
    else:
        paths = [path for path in Path(settings.lake_root, stage.asset).rglob("*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in paths) / 1e6, len(paths)
