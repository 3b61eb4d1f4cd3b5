"""Time and peak memory of one side of a comparison, in a process of its own, and what is told of it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Seconds between two looks at the memory of the process.
INTERVAL = 0.005


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        ours: our figure.
        unit: of both figures.
        peer: whose figure stands beside it; "" where there is none.
        theirs: the peer's figure.
        ratio: how many times as good as the peer's ours is, for times and rates alike.
        peak_mb: highest memory above the input, in MB (10^6 bytes); None where it was not looked at.
        peer_peak_mb: the peer's.
        remark: what else is to be known, such as whether the results were equal.
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
        """The figure as a row of the JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Run:
    """What came out of one side.

    Attributes:
        result: what the function returned.
        seconds: by the clock.
        peak_mb: highest memory above the input, in MB (10^6 bytes); None where the system does not tell.
    """

    result: Any
    seconds: float
    peak_mb: float | None


def measure_in_subprocess(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> Run:
    """Measure in a fresh process, so that a peak is that side's alone.

    Args:
        prepare: a function of a module, called with the arguments before anything is measured: it imports, opens the
            input, and returns the function to measure, whose result must be picklable.
        arguments: picklable.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(_measured, prepare, arguments).result()


def _measured(prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> Run:
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
    """Memory of this process that is of no file, in MB (10^6 bytes); None where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("RssAnon")), None)
