"""The files of Dagster's event log stay open during a run, and everything is in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy

from visdiv_assets.orchestration.event_log import open_event_log
from visdiv_assets_tests.conftest import QUIET


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the addresses of the engines that are created, those of Dagster not included."""
    created: list[str] = []
    create = sqlalchemy.create_engine

    def counted(address: str, **options: object) -> sqlalchemy.Engine:
        created.append(address.rsplit("/", 1)[-1])
        return create(address, **options)

    monkeypatch.setattr(sqlalchemy, "create_engine", counted)
    return created


def materialize(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    @dg.asset
    def some() -> None: ...

    return dg.materialize([some], instance=instance, run_config=QUIET)


def test_each_file_is_opened_once_and_has_all_events(instance: dg.DagsterInstance, engines: list[str]) -> None:
    with open_event_log(instance):
        kept = materialize(instance)
        assert instance.get_latest_materialization_event(dg.AssetKey("some")) is not None
    assert sorted(engines) == sorted([f"{kept.run_id}.db", "index.db"])
    usual = materialize(instance)
    assert len(engines) == 2
    kinds = [[event.event_type_value for event in result.all_events] for result in (kept, usual)]
    assert kinds[0] == kinds[1]
    stored = [len(instance.all_logs(result.run_id)) for result in (kept, usual)]
    assert stored[0] == stored[1] > 10


def test_another_process_reads_events_while_the_file_is_open(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with open_event_log(instance):
        run_id = materialize(instance).run_id
        (file,) = tmp_path.rglob(f"{run_id}.db")
        with closing(sqlite3.connect(file)) as other:
            assert other.execute("SELECT count(*) FROM event_logs").fetchone()[0] > 10
    # Closing has copied the write-ahead log into the file.
    assert not file.with_name(f"{file.name}-wal").exists()


def test_a_log_that_is_not_in_sqlite_is_left_as_it_is() -> None:
    with dg.DagsterInstance.ephemeral() as instance, open_event_log(instance):
        assert materialize(instance).success
        assert "_connect" not in vars(instance.event_log_storage)
