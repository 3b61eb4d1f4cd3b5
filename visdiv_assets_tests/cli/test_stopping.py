"""SIGINT and SIGTERM stop commands at once, whatever they do or wait for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.automation import CORPUS_JOB
from visdiv_assets.orchestration.runs import prepare_home
from visdiv_assets.settings import Settings, dagster_home
from visdiv_assets_tests.conftest import clean_environment, one_each, write_shard
from visdiv_assets_tests.orchestration.test_state import started

#: The command, whose first write of a table reports itself and then keeps the process busy without an end.
BUSY = """
import sys, threading
from concurrent.futures import ThreadPoolExecutor
from visdiv_assets.cli.main import main
from visdiv_assets.storage.lake import Lake

def work_on(*arguments, **named):
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: print("busy", file=sys.__stderr__, flush=True))
        threads.submit(threading.Event().wait)

Lake.write = work_on
main(sys.argv[1:])
"""
PLAIN = "import sys; from visdiv_assets.cli.main import main; main(sys.argv[1:])"

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("first", "second"):
        write_shard(tmp_path / "source", name, one_each([1]))
    return Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu", clip_model="")


@contextmanager
def listening() -> Iterator[None]:
    """Start processes that SIGINT stops, also if the tests run in the background, where a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def running(settings: Settings, code: str) -> Iterator[subprocess.Popen[str]]:
    given = {"VISDIV_SOURCE": settings.source, "VISDIV_DATA": settings.data, "VISDIV_DEVICE": "cpu"}
    with clean_environment(**given, VISDIV_CLIP_MODEL=""), listening():
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, "run", "--all"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line on stderr with a text."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"the command ended without {text!r}")


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[float, str, str]:
    """Send a signal and return the seconds until the command has ended, and what it wrote meanwhile."""
    begin = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    return time.monotonic() - begin, out, err


def states(settings: Settings) -> list[dg.DagsterRunStatus]:
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        return [run.status for run in instance.get_runs()]


@SIGNALS
def test_a_signal_stops_busy_work_at_once(settings: Settings, number: signal.Signals) -> None:
    with running(settings, BUSY) as process:
        wait_for(process, "busy")
        seconds, out, err = stop(process, number)
    assert seconds < 5
    assert out == ""
    assert err.splitlines()[-1] == "visdiv: stopped; finished work is kept, and the same command continues"
    assert "Traceback" not in err
    assert not Path(settings.warehouse_path).exists()
    assert states(settings) == [dg.DagsterRunStatus.CANCELED]


def test_ctrl_c_in_a_terminal_writes_one_line(settings: Settings) -> None:
    """A terminal interrupts all processes of a command, also those that Dagster starts for a step."""
    with running(settings, BUSY) as process:
        wait_for(process, "busy")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "visdiv: stopped; finished work is kept, and the same command continues"
    assert "Traceback" not in err


@pytest.mark.nightly
@SIGNALS
def test_a_run_that_waits_says_for_whom_and_can_be_stopped(settings: Settings, number: signal.Signals) -> None:
    home = dagster_home(settings)
    with clean_environment():
        prepare_home(home)
    alive = sessions.Session(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        holder = started(instance, settings, CORPUS_JOB, **{sessions.TAG: alive.name})
        for pool in ("gpu", "warehouse"):
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
            assert instance.event_log_storage.claim_concurrency_slot(pool, holder.run_id, "step").is_claimed
    with running(settings, PLAIN) as process:
        line = wait_for(process, "waiting for a slot of the pool")
        seconds, out, err = stop(process, number)
    assert f"which corpus_pipeline (run {holder.run_id[:8]}, since 20" in line
    assert seconds < 5
    assert out == ""
    assert len(err.splitlines()) == 1
    assert sorted(each.value for each in states(settings)) == ["CANCELED", "STARTED"]
