"""`visdiv gc`, in this process, on the data of a small run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.automation import SUBSET_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.settings import Settings, dagster_home
from visdiv_assets_tests.cli.conftest import run_visdiv as run
from visdiv_assets_tests.cli.test_main import refused
from visdiv_assets_tests.conftest import lake_files, query
from visdiv_assets_tests.storage.helpers import files_below

#: Each takes many seconds.
pytestmark = pytest.mark.nightly

DAY = 86_400.0


def age(settings: Settings, days: float) -> None:
    """Make the files of the lake older."""
    for path in Path(settings.lake_root).rglob("*"):
        if path.is_file():
            before = path.stat().st_mtime
            os.utime(path, (before, before - days * DAY))


def content(settings: Settings) -> list[list[tuple[object, ...]]]:
    """Return the rows of published tables."""
    tables = ("images", "close_pairs", "diversity", "contamination_rates", "dropped_rows", "provenance")
    return [query(settings, f"SELECT * FROM {table} ORDER BY ALL") for table in tables]


def test_gc_lists_and_deletes_nothing_by_default(settings: Settings) -> None:
    age(settings, 8)
    before = files_below(Path(settings.data))
    result = run(settings, "gc")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["table", "partition", "files", "MB", "why"]
    assert {line.split()[0] for line in lines[2:-1]} >= {"near_duplicates"}
    assert all("superseded" in line for line in lines[2:-1])
    assert lines[-1].endswith("are unreferenced: `visdiv gc --delete` deletes them.")
    assert files_below(Path(settings.data)) == before


def test_gc_deletes_what_it_listed_and_no_finished_work(settings: Settings) -> None:
    age(settings, 8)
    listed = run(settings, "gc").output.splitlines()
    published, before = content(settings), files_below(Path(settings.data))
    removed = run(settings, "gc", "--delete").output.splitlines()
    assert removed[:-1] == listed[:-1]
    gone = {path: data for path, data in before.items() if path not in files_below(Path(settings.data))}
    assert removed[-1] == f"Deleted {len(gone)} files, {sum(map(len, gone.values())) / 1e6:.3f} MB."
    assert gone
    assert run(settings, "gc").output == "There is nothing to delete.\n"
    again = run(settings, "run", "--all")
    assert again.exit_code == 0, again.output
    assert again.output.count("nothing to embed") == 3
    assert [rows[:3] for rows in content(settings)][:-1] == [rows[:3] for rows in published][:-1]


def test_gc_keeps_young_files(settings: Settings) -> None:
    first, last = run(settings, "gc").output.splitlines()
    assert first.endswith("are kept until they are 7 days old.")
    assert last == "There is nothing to delete."
    assert "`visdiv gc --older-than 0 --delete` deletes them." in run(settings, "gc", "--older-than", "0").output
    assert run(settings, "gc", "--older-than", "-1").exit_code == 2


def test_gc_deletes_a_vanished_subset_on_request(settings: Settings) -> None:
    shutil.rmtree(Path(settings.source) / "subsets" / "geoqa+(x)")
    output = run(settings, "gc", "--delete").output
    assert "belong to partitions that the source no longer has (geoqa+(x)): --vanished includes them." in output
    report = Path(settings.data) / "reports" / "duplicates" / "geoqa%2B%28x%29.html"
    assert report.is_file()
    others = {path: data for path, data in lake_files(settings.lake_root).items() if "geoqa" not in path}
    assert run(settings, "gc", "--vanished", "--delete").exit_code == 0
    left = lake_files(settings.lake_root)
    assert not report.exists()
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        assert instance.get_dynamic_partitions("subset") == ["some"]
        assert instance.get_dynamic_partitions("benchmark") == ["bench"]
    assert {path for path in left if "geoqa" in path} <= {path for path in left if path.startswith(".locks")}
    assert {path: data for path, data in left.items() if "geoqa" not in path} == others
    assert run(settings, "run", "--all").exit_code == 0
    assert query(settings, "SELECT subset FROM subsets") == [("some",)]


def test_gc_keeps_all_if_the_source_is_missing_or_empty(settings: Settings) -> None:
    before = files_below(Path(settings.data))
    shutil.rmtree(Path(settings.source) / "subsets")
    (Path(settings.source) / "subsets").mkdir()
    empty = run(settings, "gc", "--vanished", "--delete")
    assert "no longer has are not looked for, since" in empty.stderr
    shutil.rmtree(settings.source)
    away = run(settings, "gc", "--vanished", "--delete")
    assert "no longer has are not looked for, since it cannot be opened: " in away.stderr
    assert (empty.exit_code, away.exit_code) == (0, 0)
    assert files_below(Path(settings.lake_root)) == {
        path.removeprefix("lake/"): data for path, data in before.items() if path.startswith("lake/")
    }


def test_gc_deletes_nothing_during_runs(settings: Settings) -> None:
    age(settings, 8)
    home = Path(settings.data) / "dagster"
    session = sessions.Session(home)
    assert "a `visdiv run` is in progress" in refused(run(settings, "gc", "--delete"))
    assert "are unreferenced" in run(settings, "gc").output
    session._lock.release()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        # A session of another machine: whether it has ended cannot be known here.
        job = build_definitions(settings).resolve_job_def(SUBSET_JOB)
        started = instance.create_run_for_job(job, tags={sessions.TAG: "elsewhere"})
        event = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=started.job_name)
        instance.report_dagster_event(event, started.run_id)
        assert f"runs are in progress ({SUBSET_JOB})" in refused(run(settings, "gc", "--delete"))
        instance.report_run_failed(started)
    assert "Deleted " in run(settings, "gc", "--delete").output
