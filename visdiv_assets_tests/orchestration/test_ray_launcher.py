"""Runs as jobs of a Ray cluster, with docs/ray/dagster.yaml unchanged, write what `visdiv run` writes.

Skipped where no PostgreSQL server or no Ray with its dashboard, which takes the jobs, is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex

import pytest
from dagster import DagsterInstance
from dagster._core.storage.dagster_run import DagsterRun

from visdiv_assets.orchestration.engines.ray import SEVERAL_MACHINES
from visdiv_assets.orchestration.partitions import add_missing_keys
from visdiv_assets.settings import load_settings
from visdiv_assets.sources import Kind
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import CHECKOUT, Row, lake_files, near_copy, one_each, write_shard
from visdiv_assets_tests.testing.postgres_server import needs_postgres, postgres_server

pytestmark = [
    pytest.mark.nightly,
    needs_postgres,
    pytest.mark.skipif(find_spec("dagster_ray") is None, reason="dagster-ray is not installed"),
    pytest.mark.skipif(find_spec("aiohttp_cors") is None, reason="Ray is installed without its dashboard"),
]

JOBS = (("benchmark_pipeline", "bench"), ("subset_pipeline", "some"))


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of Dagster with a Ray cluster and a PostgreSQL server on loopback."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(CHECKOUT / "docs" / "ray" / "dagster.yaml", home)
    cluster_port, dashboard_port = free_port(), free_port()
    # The node knows nothing of the source and the data: a job gets that from the file. No model is fetched for a test.
    node = {**os.environ, SEVERAL_MACHINES: "0", "VISDIV_CLIP_MODEL": "", "VISDIV_DISK_RESERVE_GIGABYTES": "0"}
    # `ray start` requires a token; a job is a command that the node's shell must find.
    node |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token_hex(32)}
    node["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), node.get("PATH", "")])
    given = {
        **node,
        "DAGSTER_HOME": str(home),
        "RAY_JOBS_ADDRESS": f"http://127.0.0.1:{dashboard_port}",
        "VISDIV_SOURCE": str(tmp_path / "source"),
        "VISDIV_DATA": str(tmp_path / "data"),
        "VISDIV_DEVICE": "cpu",
        "VISDIV_ENGINE": "local",
        "VISDIV_THREADS": "1",
    }
    # What the file reserves for a run; the GPU is a number to Ray, and the run does not use it.
    room = ["--num-cpus", "4", "--num-gpus", "1"]
    places = ["--port", str(cluster_port), "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard_port)]
    head = ["ray", "start", "--head", "--block", "--node-ip-address", "127.0.0.1", *places, *room]
    with in_background(head, node):
        answers("127.0.0.1", dashboard_port)
        with postgres_server() as database:
            given |= database
            with in_background(["dagster-daemon", "run", "-w", "workspace.yaml"], given):
                yield given


@contextmanager
def in_background(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Run a program of this Python environment, and end it and its children with the block."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        env=environment,
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int, seconds: float = 120) -> None:
    for _ in range(round(seconds)):
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            time.sleep(1)
    raise TimeoutError(f"no program listens at {host}:{port}")


def launch(job: str, partition: str, variables: dict[str, str]) -> None:
    """Queue a run as the UI does; the daemon passes it to the launcher."""
    tags = json.dumps({"dagster/partition": partition})
    arguments = ["job", "launch", "-w", "workspace.yaml", "-j", job, "--tags", tags]
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *arguments],
        env=variables,
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def ended(instance: DagsterInstance, seconds: float = 300) -> list[DagsterRun]:
    for _ in range(round(seconds)):
        runs = instance.get_runs()
        if runs and all(run.is_finished for run in runs):
            return list(runs)
        time.sleep(1)
    raise TimeoutError(f"runs that did not end: {[run.status for run in instance.get_runs()]}")


def test_a_run_as_a_ray_job_equals_a_local_run(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    write_shard(source, "some", [*one_each(range(4)), Row([near_copy(1)])])
    write_shard(source, "bench", [*one_each([2]), Row([near_copy(3)])], kind=Kind.BENCHMARK)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.get() as instance:
        add_missing_keys(instance, open_source(load_settings()))
        for number, (job, partition) in enumerate(JOBS):
            launch(job, partition, variables)
            runs = ended(instance)
            said = "\n".join(entry.message or entry.user_message for entry in instance.all_logs(runs[0].run_id))
            assert [run.status.value for run in runs] == ["SUCCESS"] * (number + 1), said
            assert "Ray run job created" in said, said
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.setenv("VISDIV_DATA", str(tmp_path / "here"))
    subprocess.run([sys.executable, "-m", "visdiv_assets.cli.main", "run", "--all"], check=True, cwd=CHECKOUT)
    remote, local = (lake_files(tmp_path / folder / "lake") for folder in ("data", "here"))
    assert any(path.startswith("contamination/") for path in remote)
    assert {path: local.get(path) for path in remote} == remote
