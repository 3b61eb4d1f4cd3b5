"""The rehearsed stages, and how to run each in a separate process."""

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
    """A stage of the rehearsal.

    Attributes:
        name: its name in the report.
        asset: the name of the Dagster asset and of its table in the lake.
        by_subset: whether it runs for each subset, or once for the corpus.
        growth: exponent with which its work grows with a large number of images; 2 if it compares all pairs.
        after_change: whether it runs again after one subset has changed.
    """

    name: str
    asset: str
    by_subset: bool
    growth: int
    after_change: bool = False


NEAR_DUPLICATES = Stage("near duplicates in each subset", LakeTable.NEAR_DUPLICATES, True, 2)

STAGES = (
    NEAR_DUPLICATES,
    Stage("diversity of each subset", LakeTable.SUBSET_DIVERSITY, True, 1),
    Stage("copies across subsets", LakeTable.CROSS_SUBSET_DUPLICATES, False, 2),
    Stage("contamination by 66 benchmarks", LakeTable.CONTAMINATION, True, 1),
    Stage("clusters and keep-best", LakeTable.DUPLICATE_CLUSTERS, False, 1),
    Stage("dropped rows", LakeTable.CURATED_ROWS, False, 1),
    Stage("diversity of mixtures", LakeTable.CORPUS_DIVERSITY, False, 1),
    Stage("the DuckDB file", "warehouse", False, 1),
    Stage("copies across subsets, one changed", LakeTable.CROSS_SUBSET_DUPLICATES, False, 2, after_change=True),
)


@dataclass(frozen=True)
class Outcome:
    """Cost and result of a stage at one size.

    Attributes:
        stage: the stage's name.
        images: number of image positions in the rehearsal.
        seconds: wall-clock time.
        peak_mb: peak memory of its process without mapped files, in MB (10^6 bytes); None if the system does not report
            it.
        disk_mb: size of its output on disk in MB, counted in blocks of the file system.
        files: number of files of its output.
        planted: number of pairs that it must find; None if it finds no pairs.
        found: number of these pairs that it found.
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
        """Return the outcome as a row of the JSON file."""
        return asdict(self)


class Materialize(Protocol):
    """A function that prepares to run an asset; it must be a module-level function, to be called in another process."""

    def __call__(self, settings: Settings, asset: str, partitions: Sequence[str]) -> Callable[[], float | None]:
        """Import modules and open the resources that a run needs.

        Args:
            settings: the settings of the rehearsal.
            asset: the asset's name.
            partitions: the partitions to run; empty for an asset without partitions.

        Returns:
            a function that runs the asset and returns the memory of the process before the run, as `measuring.own_mb`.
        """


def run_stage(materialize: Materialize, settings: Settings, stage: Stage, subsets: Sequence[str]) -> Run:
    """Run a stage in a separate process and measure it; the peak is that of the whole process."""
    run = measure_in_subprocess(materialize, settings, stage.asset, subsets if stage.by_subset else [])
    peak = None if run.peak_mb is None or run.result is None else run.result + run.peak_mb
    return Run(None, run.seconds, peak)


def output_size(settings: Settings, stage: Stage) -> tuple[float, int]:
    """Return the size of a stage's output on disk in MB, counted in blocks, and its number of files."""
    if stage.asset == "warehouse":
        paths = [Path(settings.warehouse_path)]
    else:
        paths = [path for path in Path(settings.lake_root, stage.asset).rglob("*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in paths) / 1e6, len(paths)
