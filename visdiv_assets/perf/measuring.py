"""Time and peak memory of one side of a comparison, measured in a separate process, and the resulting figure."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visdiv_assets.progress import Progress

#: Seconds between two samples of the memory of the process.
INTERVAL = 0.005


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        ours: our value.
        unit: unit of both values.
        peer: the tool that ours is compared with; empty if there is none.
        theirs: the peer's value.
        ratio: how many times better our value is, for times and for rates.
        peak_mb: peak memory beyond the input, in MB (10^6 bytes); None if it was not measured.
        peer_peak_mb: the peer's peak memory.
        remark: further information, for example whether the results were equal.
    """

    name: str
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    peak_mb: float | None = None
    peer_peak_mb: float | None = None
    remark: str = ""

    def row(self) -> dict[str, Any]:
        """Return the figure as a row of the JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Run:
    """The result and cost of one side.

    Attributes:
        result: the return value of the measured function.
        seconds: wall-clock time.
        peak_mb: peak memory beyond the input, in MB (10^6 bytes); None if the system does not report it.
    """

    result: Any
    seconds: float
    peak_mb: float | None


def measure_in_subprocess(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
    """Measure in a new process, so that the peak memory belongs to this side only.

    Args:
        prepare: a module-level function, called with the arguments before the measurement. It imports modules, opens
            the input, and returns the function to measure, whose result must be picklable.
        arguments: picklable arguments.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(measure_here, prepare, arguments).result()


def measure_methods(
    methods: Mapping[str, Callable[[Path], Callable[[], Any]]], folder: Path, rows: int, progress: Progress
) -> list[Figure]:
    """Run every method once, each in a separate process; the result of its work is the remark.

    Args:
        methods: what prepares the work of each, by name; called with the folder as by `measure_in_subprocess`.
        folder: holds the input.
        rows: number of rows of the input.
        progress: called after every run.
    """
    figures = []
    for name, prepare in methods.items():
        run = measure_in_subprocess(prepare, folder)
        figures.append(Figure(f"{name} of {rows:,}", run.seconds, "s", peak_mb=run.peak_mb, remark=run.result))
        progress(1)
    return figures


def measure_here(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> Run:
    """Measure as `measure_in_subprocess`, but in this process."""
    work = prepare(*arguments)
    before = own_mb()
    seen, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL):
            seen.append(own_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        result = work()
    finally:
        seconds = time.perf_counter() - started
        seen.append(own_mb())
        done.set()
        watcher.join()
    known = [mb for mb in seen if mb is not None]
    return Run(result, seconds, None if before is None else max(known) - before)


def own_mb() -> float | None:
    """Return the memory of this process without mapped files, in MB (10^6 bytes); None if there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("RssAnon")), None)
