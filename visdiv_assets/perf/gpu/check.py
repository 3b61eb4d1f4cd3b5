"""Run the steps of the check one by one within a limit of time, and go on later where it ended.

Each step runs in a process of its own, which is ended with its own processes when its time is up. The JSON file is
written after every step, so that a check that is interrupted, or whose time is up, continues from it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from visdiv_assets.errors import ConfigError, VisdivError
from visdiv_assets.perf import machine
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.storage.files import replace_local

#: A step does not start with less time left.
MIN_SECONDS = 10.0
#: How long a process may take to end after its last result.
EXIT_SECONDS = 5.0


class Step(NamedTuple):
    """A part of the check that is measured in a process of its own.

    Attributes:
        seconds: the most that it may take.
        measure: a function of a module, which returns the step's figures.
    """

    seconds: float
    measure: Callable[[Setup], list[Figure]]


class Outcome(NamedTuple):
    """What a check has so far.

    Attributes:
        figures: those of all finished steps.
        problems: one line for each step that failed.
        left: steps for which there was no time.
    """

    figures: list[Figure]
    problems: list[str]
    left: list[str]


def check(
    steps: Mapping[str, Step],
    setup: Setup,
    file: Path,
    seconds: float,
    *,
    say: Callable[[str], None],
) -> Outcome:
    """Run the steps that the file has no results of, those that failed before last.

    Args:
        steps: the steps by name, in the order in which they run.
        setup: device, sizes and folder.
        file: JSON file, written after every step.
        seconds: the most that all steps together may take.
        say: is told of each step.

    Raises:
        ConfigError: the file holds something else, or results of another device or other sizes.
    """
    until = time.monotonic() + seconds
    known = _read(file, setup)
    results: dict[str, dict[str, Any]] = known["steps"]
    missing = [name for name in steps if "figures" not in results.get(name, {})]
    left: list[str] = []
    for name in sorted(missing, key=lambda name: name in results):
        remaining = until - time.monotonic()
        if remaining < MIN_SECONDS:
            left.append(name)
            continue
        say(f"{name} ...")
        result = results[name] = _run(steps[name], setup, min(remaining, steps[name].seconds))
        say(f"{name}: {result['problem']}" if "problem" in result else f"{name}: {result['seconds']} s")
        with replace_local(file) as stream:
            stream.write(json.dumps(known, indent=1).encode())
    done = [(name, results[name]) for name in steps if name in results]
    return Outcome(
        [Figure(**row) for _, result in done for row in result.get("figures", ())],
        [f"{name}: {result['problem']}" for name, result in done if "problem" in result],
        left,
    )


def _read(file: Path, setup: Setup) -> dict[str, Any]:
    """Return the content of the file, or that of a new one."""
    new = {"machine": machine.describe(), "setup": setup.row(), "steps": {}}
    try:
        known = json.loads(file.read_bytes())
    except FileNotFoundError:
        return new
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or known.keys() != new.keys() or known["setup"] != new["setup"]:
        raise ConfigError(
            f"{file} has no results of the GPU check of this machine with these sizes: name another file with --json"
        )
    return known


def _run(step: Step, setup: Setup, seconds: float) -> dict[str, Any]:
    """Measure in a new process; return figures and seconds, or a problem in one line."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sending, step.measure, setup))
    begin = time.monotonic()
    process.start()
    sending.close()
    try:
        if not receiving.poll(seconds):
            return {"problem": f"not finished after {seconds:.0f} s"}
        figures = receiving.recv()
        process.join(EXIT_SECONDS)
    except EOFError:
        process.join(EXIT_SECONDS)
        return {"problem": f"its process ended with code {process.exitcode}, perhaps for lack of memory"}
    finally:
        _end(process)
    return (
        {"problem": figures}
        if isinstance(figures, str)
        else {
            "seconds": round(time.monotonic() - begin, 1),
            "figures": figures,
        }
    )


def _measure(results: Connection, measure: Callable[[Setup], list[Figure]], setup: Setup) -> None:
    """Send rows of figures, or one line on what went wrong."""
    # A process group of its own, so that the processes of the step can be ended with it.
    os.setsid()
    try:
        results.send([figure.row() for figure in measure(setup)])
    except VisdivError as error:
        results.send(str(error))
    except Exception as error:
        results.send(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}")


def _end(process: BaseProcess) -> None:
    """End a process and those that it started."""
    assert process.pid is not None
    # The group is there from the moment on that the process has made it, until its last process has ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
