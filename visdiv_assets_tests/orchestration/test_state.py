"""Dagster's state as `visdiv doctor` and `visdiv gc` see it, on real instances of each fault."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.types import DaemonHeartbeat

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions, state
from visdiv_assets.orchestration.automation import CORPUS_JOB, SUBSET_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.doctor import Finding, Level, examine
from visdiv_assets.orchestration.resources import LakeResource
from visdiv_assets.orchestration.runs import Session, prepare_home
from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import CHECKOUT
from visdiv_assets_tests.testing.commands import advised_commands


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a DAGSTER_HOME with this program's dagster.yaml and no runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    return folder


@pytest.fixture
def opened(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def found(home: Path) -> dict[str, Finding]:
    """Return the findings of the checks by name."""
    findings = {finding.name: finding for finding in examine(state.checks(home))}
    for finding in findings.values():
        advised_commands(finding.text)
    return findings


def started(instance: dg.DagsterInstance, settings: Settings, job: str = CORPUS_JOB, **tags: str) -> dg.DagsterRun:
    """Create a run that has started and never ends."""
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
    """Create a session whose process was killed: its lock file is left, and no process holds it."""
    name = "0" * 32
    (home / "sessions").mkdir(exist_ok=True)
    (home / "sessions" / name).touch()
    return name


def test_a_missing_home_is_ok_and_is_not_created(tmp_path: Path) -> None:
    (finding,) = found(tmp_path / "home").values()
    assert (finding.name, finding.level) == ("state", Level.OK)
    assert state.active_runs(tmp_path / "home") == []
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_home_is_ok_except_for_the_daemon(home: Path) -> None:
    levels = {name: finding.level for name, finding in found(home).items()}
    assert levels == {"state": Level.OK, "daemon": Level.WARNING, "runs": Level.OK, "pools": Level.OK}
    assert "Sqlite, 0 runs, the schema is current, up to 4 simultaneous runs" in found(home)["state"].text
    assert found(home)["pools"].text.startswith("gpu 1, warehouse 1 at a time")


def test_a_daemon_is_known_by_its_heartbeats(home: Path, opened: dg.DagsterInstance) -> None:
    required = sorted(opened.get_required_daemon_types())
    for daemon in required[:-1]:
        opened.add_daemon_heartbeat(DaemonHeartbeat(time.time(), daemon, "some daemon", []))
    assert found(home)["daemon"].text == f"no recent heartbeat from {required[-1]}: restart the daemon with `visdiv ui`"
    opened.add_daemon_heartbeat(DaemonHeartbeat(time.time(), required[-1], "some daemon", []))
    assert (found(home)["daemon"].level, found(home)["daemon"].text) == (Level.OK, "running")
    for daemon in required:
        opened.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 120, daemon, "some daemon", []))
    assert found(home)["daemon"].level is Level.WARNING
    assert found(home)["daemon"].text.startswith("not running: ")


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
        state.active_runs(home)


def test_a_session_on_a_broken_state_is_refused(
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


def test_too_many_runs_for_sqlite_is_a_warning(home: Path) -> None:
    own = (home / "dagster.yaml").read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 8")
    (home / "dagster.yaml").write_text(own)
    assert found(home)["state"].level is Level.WARNING
    assert "allows 8 simultaneous runs, but SQLite supports about 4" in found(home)["state"].text


def test_pools_without_a_limit_are_named(home: Path) -> None:
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert found(home)["pools"].text.startswith("no limit for gpu, warehouse, ")


def test_a_slot_that_an_ended_run_holds_is_a_warning(
    home: Path, opened: dg.DagsterInstance, settings: Settings
) -> None:
    run = started(opened, settings, **{sessions.TAG: sessions.of_this_process(home).name})
    opened.event_log_storage.initialize_concurrency_limit_to_default("gpu")
    assert opened.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "step").is_claimed
    assert found(home)["pools"].level is Level.OK
    opened.report_run_failed(run)
    assert found(home)["pools"].level is Level.WARNING
    assert run.run_id[:8] in found(home)["pools"].text


@pytest.mark.nightly
def test_killed_runs_are_not_active(home: Path, opened: dg.DagsterInstance, settings: Settings) -> None:
    started(opened, settings, **{sessions.TAG: ended_session(home)})
    assert state.active_runs(home) == []
    assert found(home)["runs"].text.startswith(f"1 killed, but still marked as started ({CORPUS_JOB}): ")
    alive = sessions.of_this_process(home).name
    started(opened, settings, SUBSET_JOB, **{"dagster/partition": "some", sessions.TAG: alive})
    assert state.active_runs(home) == [f"{SUBSET_JOB} of some"]


@pytest.mark.parametrize("address", [None, '{"host": "localhost", "socket": "/nowhere/socket"}'])
def test_runs_that_died_with_the_ui_are_ended_and_free_their_slot(
    home: Path,
    opened: dg.DagsterInstance,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
) -> None:
    run = started(opened, settings, **({GRPC_INFO_TAG: address} if address else {}))
    opened.event_log_storage.initialize_concurrency_limit_to_default("warehouse")
    assert opened.event_log_storage.claim_concurrency_slot("warehouse", run.run_id, "step").is_claimed
    assert found(home)["runs"].text.startswith(f"1 killed, but still marked as started ({CORPUS_JOB}): ")
    assert found(home)["runs"].level is Level.WARNING
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    Session(settings)
    again = opened.get_run_by_id(run.run_id)
    assert again is not None
    assert again.status is dg.DagsterRunStatus.FAILURE
    assert not opened.event_log_storage.get_concurrency_info("warehouse").claimed_slots


def test_every_run_has_the_session_of_its_process(home: Path, opened: dg.DagsterInstance, settings: Settings) -> None:
    run = started(opened, settings)
    context = dg.InitResourceContext(
        resource_config={},
        resources=dg.build_init_resource_context().resources,
        resource_def=None,
        all_resource_defs={},
        instance=opened,
        dagster_run=run,
    )
    LakeResource.from_settings(settings).setup_for_execution(context)
    tagged = opened.get_run_by_id(run.run_id)
    assert tagged is not None
    assert tagged.tags[sessions.TAG] == sessions.of_this_process(home).name


def test_runs_of_another_machine_do_not_count_as_killed(
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


def test_sessions_are_known_while_they_run(tmp_path: Path) -> None:
    assert sessions.running(tmp_path) == []
    session = sessions.Session(tmp_path)
    assert sessions.running(tmp_path) == [session.name]
    assert not sessions.has_ended(tmp_path, session.name)
    assert not sessions.has_ended(tmp_path, "unknown")
    ended = ended_session(tmp_path)
    assert sessions.has_ended(tmp_path, ended)
    sessions.forget_ended(tmp_path)
    assert [lock.name for lock in (tmp_path / "sessions").iterdir()] == [session.name]


def test_a_dagster_yaml_of_the_user_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "telemetry: {enabled: false}\n"
    (home / "dagster.yaml").write_text(own)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    prepare_home(home)
    assert (home / "dagster.yaml").read_text() == own


def test_settings_for_postgresql_differ_in_storage_and_runs() -> None:
    own, postgres = (
        yaml.safe_load((CHECKOUT / name).read_text()) for name in ("dagster.yaml", "docs/postgres/dagster.yaml")
    )
    storage = postgres.pop("storage")["postgres"]["postgres_db"]
    assert {entry["env"] for entry in storage.values() if isinstance(entry, dict)} == {
        *("DAGSTER_PG_USERNAME", "DAGSTER_PG_PASSWORD", "DAGSTER_PG_HOST", "DAGSTER_PG_PORT", "DAGSTER_PG_DB")
    }
    assert postgres["concurrency"].pop("runs") != own["concurrency"].pop("runs")
    assert postgres == own
