"""Dagster's state in PostgreSQL: six simultaneous runs on one data folder, compared with serial runs on SQLite.

Skipped where no server is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import CHECKOUT, Row, near_copy, one_each, write_shard
from visdiv_assets_tests.reliability.processes import tables
from visdiv_assets_tests.testing.postgres_server import needs_postgres, postgres_server

SUBSETS = tuple(f"subset {number}" for number in range(6))


pytestmark = [pytest.mark.nightly, needs_postgres]


@pytest.fixture
def database() -> Iterator[dict[str, str]]:
    """Return the variables of docs/postgres/dagster.yaml for a fresh server."""
    pytest.importorskip("dagster_postgres")
    with postgres_server() as variables:
        yield variables


def visdiv(*arguments: str, source: Path, data: Path, **variables: str) -> subprocess.Popen[str]:
    """Run `visdiv` in a process of its own."""
    given = {"VISDIV_SOURCE": str(source), "VISDIV_DATA": str(data), "VISDIV_DEVICE": "cpu", "VISDIV_CLIP_MODEL": ""}
    return subprocess.Popen(
        [sys.executable, "-m", "visdiv_assets.cli.main", *arguments],
        env={**os.environ, **given, "VISDIV_DISK_RESERVE_GIGABYTES": "0", **variables},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def succeeds(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=600)[0]
    assert process.returncode == 0, output
    return output


def digests(data: Path) -> dict[tuple[str, str], str]:
    """Return the digest of every partition of the lake, without the history of publications."""
    lake = Lake(data / "lake")
    return {
        (table, name): lake.require(table, name).digest
        for table in set(lake.tables()) - {LakeTable.PUBLICATIONS}
        for name in lake.partitions(table)
    }


def test_six_parallel_runs_on_postgresql_equal_serial_runs(database: dict[str, str], tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    for number, name in enumerate(SUBSETS):
        # Copies within a subset, and of the one before.
        shared = [Row([near_copy(10 * number)]), *one_each([max(0, 10 * (number - 1))])]
        write_shard(source, name, [*one_each(range(10 * number, 10 * number + 4)), *shared])
    write_shard(source, "bench", [*one_each([1]), Row([near_copy(22)])], kind=Kind.BENCHMARK)
    home.mkdir()
    shutil.copy(CHECKOUT / "docs" / "postgres" / "dagster.yaml", home)
    on_postgres = {**database, "DAGSTER_HOME": str(home)}

    succeeds(visdiv("run", "--all", source=source, data=tmp_path / "one"))
    at_once = [visdiv("run", name, source=source, data=tmp_path / "six", **on_postgres) for name in SUBSETS]
    for process in at_once:
        succeeds(process)
    # Which of the six looked at all subsets last is chance: one that comes after them has.
    output = succeeds(visdiv("run", SUBSETS[0], source=source, data=tmp_path / "six", **on_postgres))
    assert "nothing to embed" in output

    assert digests(tmp_path / "six") == digests(tmp_path / "one")
    expected = tables(tmp_path / "one" / "visdiv.duckdb")
    assert expected["close_pairs"]
    assert expected["contamination_pairs"]
    assert tables(tmp_path / "six" / "visdiv.duckdb") == expected
    assert not (home / "history").exists()
    said = succeeds(visdiv("doctor", source=source, data=tmp_path / "six", **on_postgres))
    assert "Postgres, " in said
    assert "0 problems" in said


def test_a_server_that_is_away_is_one_line(database: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(CHECKOUT / "docs" / "postgres" / "dagster.yaml", home)
    write_shard(tmp_path / "source", "some", one_each([1]))
    away = {**database, "DAGSTER_HOME": str(home), "DAGSTER_PG_PASSWORD": "wrong"}
    process = visdiv("run", "--all", source=tmp_path / "source", data=tmp_path / "data", **away)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    last = output.splitlines()[-1]
    assert last.startswith(f"visdiv: Dagster's state in {home} cannot be opened (")
    assert "password authentication failed" in last
