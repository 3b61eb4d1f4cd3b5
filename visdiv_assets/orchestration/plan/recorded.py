"""What earlier runs have recorded: the seconds of each step, and the peak memory as a tag of the Dagster run."""

from __future__ import annotations

import resource
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from visdiv_assets.corpus.tables import CORPUS_PARTITION, NEEDS_CLIP, NEEDS_OCR_AND_CLIP
from visdiv_assets.orchestration.assets.clip_optional import LEFT_OUT_TAG
from visdiv_assets.orchestration.automation import BENCHMARK_JOB, BENCHMARK_OCR_JOB, CORPUS_JOB, OCR_JOB, SUBSET_JOB
from visdiv_assets.orchestration.state import open_instance

#: Tag of a Dagster run with the peak memory of its process, in bytes.
PEAK_TAG = "visdiv/peak_bytes"

#: Maximum number of runs to read, the latest first.
MAX_RUNS = 1000


@dataclass(frozen=True)
class Recorded:
    """What earlier runs took.

    Attributes:
        seconds: by name of the step, the seconds of its slowest run by partition: a run that reuses finished work is
            faster.
        peak_bytes: the largest peak memory; 0 if none is recorded.
    """

    seconds: dict[str, dict[str, float]]
    peak_bytes: int


def peak_bytes() -> int:
    """Return the peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Interval(NamedTuple):
    """When a step of a run ran.

    Attributes:
        step: its name.
        partition: the run's subset or benchmark; of the stages of all subsets, `CORPUS_PARTITION`.
        begin: seconds since the epoch.
        end: the same.
    """

    step: str
    partition: str
    begin: float
    end: float


def read_recorded(home: Path) -> Recorded:
    """Read what the runs of a Dagster instance have recorded; nothing if there is no instance.

    Args:
        home: DAGSTER_HOME.
    """
    seconds: dict[str, dict[str, float]] = defaultdict(dict)
    peak = 0
    for of_run, run_peak in _runs(home):
        peak = max(peak, run_peak)
        for step, partition, begin, end in of_run:
            seconds[step][partition] = max(seconds[step].get(partition, 0.0), end - begin)
    return Recorded(dict(seconds), peak)


def read_intervals(home: Path) -> list[Interval]:
    """Return when each step of the runs of a Dagster instance ran.

    Args:
        home: DAGSTER_HOME.
    """
    return [interval for of_run, _ in _runs(home) for interval in of_run]


def _runs(home: Path) -> Iterator[tuple[list[Interval], int]]:
    """Yield the successful steps of each run, and its peak memory in bytes, or 0; nothing without an instance."""
    with open_instance(home) as instance:
        if instance is None:
            return
        for run in instance.get_runs(limit=MAX_RUNS):
            if run.job_name in (BENCHMARK_JOB, SUBSET_JOB, BENCHMARK_OCR_JOB, OCR_JOB, CORPUS_JOB):
                partition = run.tags.get("dagster/partition", CORPUS_PARTITION)
                steps = instance.get_run_step_stats(run.run_id)
                # A step that made nothing says nothing about the time it takes.
                left_out = NEEDS_CLIP | NEEDS_OCR_AND_CLIP if LEFT_OUT_TAG in run.tags else frozenset()
                yield (
                    [
                        Interval(step.step_key, partition, step.start_time, step.end_time)
                        for step in steps
                        if step.status and step.status.value == "SUCCESS" and step.start_time and step.end_time
                        if step.step_key not in left_out
                    ],
                    int(run.tags.get(PEAK_TAG, 0)),
                )
