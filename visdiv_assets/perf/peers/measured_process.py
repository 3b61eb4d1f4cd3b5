"""Run a command of another program and measure its time and the memory of all of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Least seconds between two samples of the memory, and the share of the time that samples may take: reading the memory
#: of a process that has mapped much holds it up.
INTERVAL = 0.02
SHARE = 0.05


class Ended(NamedTuple):
    """A command that has ended.

    Attributes:
        seconds: wall-clock time.
        peak_mb: the most memory without mapped files that its processes had together, in MB (10^6 bytes); None if the
            system does not report it.
        problem: one line if it failed or had no more time; else None.
    """

    seconds: float
    peak_mb: float | None
    problem: str | None


def run(command: Sequence[str], limit: float) -> Ended:
    """Run a command to its end, or end it and its processes after `limit` seconds."""
    peak: float | None = None
    begin = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            return Ended(0.0, None, f"cannot run {command[0]}: {error.strerror or error}")
        problem: str | None = None
        try:
            while process.poll() is None:
                if time.monotonic() - begin > limit:
                    problem = f"not finished after {limit:.0f} s"
                    break
                sampled = time.monotonic()
                if (now := _session_mb(process.pid)) is not None:
                    peak = max(peak or 0.0, now)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(INTERVAL, (time.monotonic() - sampled) / SHARE))
        finally:
            # Whatever is left of it, also after Ctrl-C.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - begin
        if problem is None and process.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines()
            problem = lines[-1] if lines else f"it ended with code {process.returncode}"
    return Ended(seconds, peak, problem)


def _session_mb(session: int) -> float | None:
    """Return the memory of all processes of a session, that of forked ones once; None if there is no /proc."""
    total = None
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # The name of the program, in parentheses, may hold blanks.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                total = (total or 0.0) + _mb(folder / "smaps_rollup")
    return total


def _mb(rollup: Path) -> float:
    lines = rollup.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss_Anon")), 0.0)
