"""A whole run on the generated source in another process, and the time and processor time of each of its steps."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.plan.estimate import FINDINGS, group_of
from visdiv_assets.orchestration.plan.recorded import Interval, read_intervals
from visdiv_assets.orchestration.plan.steps import steps
from visdiv_assets.orchestration.runs import Session
from visdiv_assets.perf.measuring import measure_in_subprocess, own_mb
from visdiv_assets.progress import showing
from visdiv_assets.settings import Settings, dagster_home

#: Seconds between two samples of the processor time.
INTERVAL = 0.02


class StepCost(NamedTuple):
    """What a step took, over all subsets and benchmarks.

    Attributes:
        step: its name.
        group: the group of steps that it belongs to.
        seconds: wall-clock time.
        core_seconds: processor time of all threads.
    """

    step: str
    group: str
    seconds: float
    core_seconds: float


class Ran(NamedTuple):
    """A whole run.

    Attributes:
        steps: cost of each step, the largest first.
        seconds: wall-clock time of everything.
        peak_mb: peak memory without mapped files in MB; None if the system does not report it.
    """

    steps: list[StepCost]
    seconds: float
    peak_mb: float | None


class Samples(NamedTuple):
    """Samples of a process.

    Attributes:
        clock: seconds since the epoch.
        processor: seconds of processor time at these times.
        before_mb: memory in MB before the run; None if the system does not report it.
    """

    clock: list[float]
    processor: list[float]
    before_mb: float | None


def run_all(settings: Settings, benchmarks: Sequence[str], subsets: Sequence[str]) -> Ran:
    """Run benchmarks, subsets and the stages of all subsets.

    Raises:
        VisdivError: a run fails.
    """
    run = measure_in_subprocess(_prepare, settings, benchmarks, subsets)
    samples: Samples = run.result
    peak = None if run.peak_mb is None or samples.before_mb is None else samples.before_mb + run.peak_mb
    return Ran(step_costs(read_intervals(dagster_home(settings)), samples), run.seconds, peak)


def _prepare(settings: Settings, benchmarks: Sequence[str], subsets: Sequence[str]) -> Callable[[], Samples]:
    session = Session(settings)
    samples = Samples([], [], own_mb())
    done = threading.Event()

    def sample() -> None:
        samples.clock.append(time.time())
        samples.processor.append(time.process_time())

    def watch() -> None:
        while not done.wait(INTERVAL):
            sample()

    def run() -> Samples:
        watcher = threading.Thread(target=watch, daemon=True)
        sample()
        watcher.start()
        try:
            with showing(sys.stderr):
                for outcome in session.run(benchmarks, subsets):
                    if not outcome.succeeded:
                        raise VisdivError(outcome.line())
        finally:
            done.set()
            watcher.join()
        sample()
        return samples

    return run


def step_costs(intervals: Sequence[Interval], samples: Samples) -> list[StepCost]:
    """Return the cost of each step, the largest first; no two steps run at the same time."""
    seconds: dict[str, float] = defaultdict(float)
    cores: dict[str, float] = defaultdict(float)
    for step, _, begin, end in intervals:
        used = np.interp([begin, end], samples.clock, samples.processor)
        seconds[step] += end - begin
        cores[step] += float(used[1] - used[0])
    groups = {step.name: group_of(step) for step in steps(with_clip=True)}
    costs = [StepCost(step, groups.get(step, FINDINGS), seconds[step], cores[step]) for step in seconds]
    return sorted(costs, key=lambda cost: -cost.core_seconds)
