"""Dagster's state as `visdiv doctor` and `visdiv gc` see it, each fault made for real."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._daemon.types import DaemonHeartbeat

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions, state
from visdiv_assets.orchestration.automation import CORPUS_JOB, SUBSET_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.doctor import Finding, Level, examine
from visdiv_assets.orchestration.runs import Session, prepare_home
from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import CHECKOUT


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with this program's dagster.yaml and no runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    return folder


@pytest.fixture
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def found(home: Path) -> dict[str, Finding]:
    """What the checks find, by name."""
    return {finding.name: finding for finding in examine(state.checks(home))}


def started(instance: dg.DagsterInstance, settings: Settings, job: str = CORPUS_JOB, **tags: str) -> dg.DagsterRun:
    """A run that has started and will never end."""
    definition = build_definitions(settings).resolve_job_def(job)
    run = instance.create_run_for_job(definition, tags=tags)
    instance.report_dagster_event(
        dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name), run.run_id
    )
    started_run = instance.get_run_by_id(run.run_id)
    assert started_run is not None
    assert started_run.status is dg.DagsterRunStatus.STARTED
    return started_run


def ended_session(home: Path) -> str:
    """A session whose process was killed: its lock is left, and nobody holds it."""
    name = "0" * 32
    (home / "sessions").mkdir(exist_ok=True)
    (home / "sessions" / name).touch()
    return name


def test_a_home_that_is_not_there_yet_is_no_fault_and_is_not_made(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "home").values()
    assert (finding.name, finding.level) == ("state", Level.OK)
    assert state.runs_under_way(tmp_path / "home") == []
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_home_is_sound_but_for_the_daemon(home: Path) -> None:
    levels = {name: finding.level for name, finding in found(home).items()}
    assert levels == {"state": Level.OK, "daemon": Level.WARNING, "runs": Level.OK, "pools": Level.OK}
    assert "Sqlite, 0 runs, its schema is current, 4 runs at a time" in found(home)["state"].text
    assert found(home)["pools"].text.startswith("gpu 1, warehouse 1 at a time")


def test_a_daemon_is_seen_by_its_signs_of_life(home: Path, opened: dg.DagsterInstance) -> None:
    required = sorted(opened.get_required_daemon_types())
    for daemon in required[:-1]:
        opened.add_daemon_heartbeat(DaemonHeartbeat(time.time(), daemon, "some daemon", []))
    assert found(home)["daemon"].text == f"it runs, but without a sign of life of {required[-1]}: start it again"
    opened.add_daemon_heartbeat(DaemonHeartbeat(time.time(), required[-1], "some daemon", []))
    assert (found(home)["daemon"].level, found(home)["daemon"].text) == (Level.OK, "it runs")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("concurrency: [", "expected the node content"),
        ("concurency: {}\n", 'unexpected config entry "concurency"'),
        (
            "storage: {postgres: {postgres_url: {env: VISDIV_TEST_NOT_SET}}}\n",
            "VISDIV_TEST_NOT_SET is not set",
        ),
    ],
    ids=["no YAML", "unknown entry", "variable not set"],
)
def test_a_state_that_cannot_be_opened_is_one_line(home: Path, settings: Settings, content: str, reason: str) -> None:
    pytest.importorskip("dagster_postgres")
    (home / "dagster.yaml").write_text(content)
    (finding,) = found(home).values()
    assert (finding.name, finding.level) == ("state", Level.PROBLEM)
    assert finding.text.startswith(f"Dagster's state in {home} cannot be opened (")
    assert reason in finding.text
    with pytest.raises(VisdivError, match="cannot be opened"):
        state.runs_under_way(home)


def test_a_session_on_a_state_that_cannot_be_opened_is_refused_in_one_line(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    (home / "dagster.yaml").write_text("concurency: {}\n")
    with pytest.raises(VisdivError, match=r"cannot be opened \(Received unexpected config entry \"concurency\""):
        Session(settings)


def test_a_damaged_database_is_a_problem(home: Path) -> None:
    found(home)
    (home / "history" / "runs.db").write_bytes(b"no database" * 1000)
    assert found(home)["state"].level is Level.PROBLEM
    assert "file is not a database" in found(home)["state"].text


def test_a_schema_of_another_version_says_how_to_migrate(home: Path) -> None:
    found(home)
    with sqlite3.connect(home / "schedules" / "schedules.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '140198fdfe65'")
    assert found(home)["state"].level is Level.PROBLEM
    assert f"`DAGSTER_HOME={home} dagster instance migrate`" in found(home)["state"].text


def test_more_runs_than_sqlite_is_good_for_are_told(home: Path) -> None:
    own = (home / "dagster.yaml").read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 8")
    (home / "dagster.yaml").write_text(own)
    assert found(home)["state"].level is Level.WARNING
    assert "8 runs at a time are allowed, and SQLite is good for 4" in found(home)["state"].text


def test_pools_without_a_limit_are_told(home: Path) -> None:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert found(home)["pools"].text.startswith("no limit for gpu, warehouse, ")


def test_a_place_that_an_ended_run_holds_is_told(home: Path, opened: dg.DagsterInstance, settings: Settings) -> None:
    run = started(opened, settings)
    opened.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    assert opened.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "step").is_claimed
    assert found(home)["pools"].level is Level.OK
    opened.report_run_failed(run)
    assert found(home)["pools"].level is Level.WARNING
    assert run.run_id[:8] in found(home)["pools"].text


def test_runs_under_way_are_told_from_killed_ones(home: Path, opened: dg.DagsterInstance, settings: Settings) -> None:
    started(opened, settings, **{sessions.TAG: ended_session(home)})
    assert state.runs_under_way(home) == []
    assert found(home)["runs"].text.startswith(f"1 killed, but still marked as started ({CORPUS_JOB}): ")
    started(opened, settings, SUBSET_JOB, **{"dagster/partition": "some"})
    assert state.runs_under_way(home) == [f"{SUBSET_JOB} of some"]


def test_runs_of_another_machine_on_the_same_database_are_not_taken_for_killed(
    home: Path, opened: dg.DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(opened, settings, **{sessions.TAG: "f" * 32})
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    Session(settings)
    again = opened.get_run_by_id(run.run_id)
    assert again is not None
    assert again.status is dg.DagsterRunStatus.STARTED
    killed = started(opened, settings, **{sessions.TAG: ended_session(home)})
    Session(settings)
    ended = opened.get_run_by_id(killed.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_sessions_are_seen_while_they_run(tmp_path: Path) -> None:
    assert sessions.running(tmp_path) == []
    session = sessions.Session(tmp_path)
    assert sessions.running(tmp_path) == [session.name]
    assert not sessions.has_ended(tmp_path, session.name)
    assert not sessions.has_ended(tmp_path, "unknown")
    ended = ended_session(tmp_path)
    assert sessions.has_ended(tmp_path, ended)
    sessions.forget_ended(tmp_path)
    assert [lock.name for lock in (tmp_path / "sessions").iterdir()] == [session.name]


def test_a_dagster_yaml_in_a_dagster_home_that_is_set_is_left_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "telemetry: {enabled: false}\n"
    (home / "dagster.yaml").write_text(own)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    prepare_home(home)
    assert (home / "dagster.yaml").read_text() == own


def test_the_settings_for_postgresql_differ_in_the_storage_and_the_number_of_runs_alone() -> None:
    own, postgres = (
        yaml.safe_load((CHECKOUT / name).read_text()) for name in ("dagster.yaml", "docs/postgres/dagster.yaml")
    )
    storage = postgres.pop("storage")["postgres"]["postgres_db"]
    assert {entry["env"] for entry in storage.values() if isinstance(entry, dict)} == {
        *("DAGSTER_PG_USERNAME", "DAGSTER_PG_PASSWORD", "DAGSTER_PG_HOST", "DAGSTER_PG_PORT", "DAGSTER_PG_DB")
    }
    assert postgres["concurrency"].pop("runs") != own["concurrency"].pop("runs")
    assert postgres == own
