"""`visdiv gc` and `visdiv doctor`, in this process, on the data of a small run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result

from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.automation import SUBSET_JOB
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets_tests.cli.test_main import refused, visdiv
from visdiv_assets_tests.conftest import lake_files, made_once, one_each, query, write_shard
from visdiv_assets_tests.storage.helpers import files_below

DAY = 86_400.0
CHECKS = [
    *("python", "packages", "settings", "source", "device", "weights", "model", "disk", "data folder", "lake"),
    *("warehouse", "garbage", "state", "daemon", "runs", "pools"),
]


def make_and_run(folder: Path) -> None:
    """A source with two subsets and a benchmark, run twice under different settings."""
    write_shard(folder / "source", "some", one_each([1, 2]))
    write_shard(folder / "source", "geoqa+(x)", one_each([3]))
    write_shard(folder / "source", "bench", one_each([4]), kind=Kind.BENCHMARK)
    for floor in ("0.8", "0.75"):
        arguments = {"source": folder / "source", "data": folder / "data", "VISDIV_SIMILARITY_FLOOR": floor}
        result = visdiv("run", "--all", **arguments)
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `source` and `data`; nothing in it may be changed."""
    return made_once(tmp_path_factory, "upkeep", make_and_run)


@pytest.fixture
def settings(ran: Path, tmp_path: Path) -> Settings:
    """A copy of the data that may be changed."""
    for name in ("source", "data"):
        shutil.copytree(ran / name, tmp_path / name)
    return Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu")


def age(settings: Settings, days: float) -> None:
    """Make the lake older."""
    for path in Path(settings.lake_root).rglob("*"):
        if path.is_file():
            before = path.stat().st_mtime
            os.utime(path, (before, before - days * DAY))


def run(settings: Settings, *arguments: str, **variables: str) -> Result:
    return visdiv(*arguments, source=settings.source, data=settings.data, **variables)


def content(settings: Settings) -> list[list[tuple[object, ...]]]:
    """The rows of the published tables."""
    tables = ("images", "close_pairs", "diversity", "contamination_rates", "dropped_rows", "provenance")
    return [query(settings, f"SELECT * FROM {table} ORDER BY ALL") for table in tables]


# gc ------------------------------------------------------------------------------------------------------------------


def test_gc_lists_and_removes_nothing_unless_asked(settings: Settings) -> None:
    age(settings, 8)
    before = files_below(Path(settings.data))
    result = run(settings, "gc")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["table", "partition", "files", "MB", "why"]
    assert {line.split()[0] for line in lines[2:-1]} >= {"near_duplicates"}
    assert all("superseded" in line for line in lines[2:-1])
    assert lines[-1].endswith("can go. Nothing was removed: `visdiv gc --delete` does.")
    assert files_below(Path(settings.data)) == before


def test_gc_removes_what_it_listed_and_the_next_run_finds_its_work_done(settings: Settings) -> None:
    age(settings, 8)
    listed = run(settings, "gc").output.splitlines()
    published, before = content(settings), files_below(Path(settings.data))
    removed = run(settings, "gc", "--delete").output.splitlines()
    assert removed[:-1] == listed[:-1]
    gone = {path: data for path, data in before.items() if path not in files_below(Path(settings.data))}
    assert removed[-1] == f"Removed {len(gone)} files, {sum(map(len, gone.values())) / 1e6:.3f} MB."
    assert gone
    assert run(settings, "gc").output == "Nothing can go.\n"
    again = run(settings, "run", "--all")
    assert again.exit_code == 0, again.output
    assert again.output.count("nothing to embed") == 3
    assert [rows[:3] for rows in content(settings)][:-1] == [rows[:3] for rows in published][:-1]


def test_gc_keeps_what_is_younger_than_asked(settings: Settings) -> None:
    first, last = run(settings, "gc").output.splitlines()
    assert first.endswith("that no partition names stay until 7 days old.")
    assert last == "Nothing can go."
    assert "`visdiv gc --older-than 0 --delete` does." in run(settings, "gc", "--older-than", "0").output
    assert run(settings, "gc", "--older-than", "-1").exit_code == 2


def test_gc_removes_a_vanished_subset_only_when_asked(settings: Settings) -> None:
    shutil.rmtree(Path(settings.source) / "subsets" / "geoqa+(x)")
    told = run(settings, "gc", "--delete").output
    assert "belong to what the source no longer has (geoqa+(x)): --vanished removes it, too." in told
    report = Path(settings.data) / "reports" / "duplicates" / "geoqa%2B%28x%29.html"
    assert report.is_file()
    others = {path: data for path, data in lake_files(settings.lake_root).items() if "geoqa" not in path}
    assert run(settings, "gc", "--vanished", "--delete").exit_code == 0
    left = lake_files(settings.lake_root)
    assert not report.exists()
    assert {path for path in left if "geoqa" in path} <= {path for path in left if path.startswith(".locks")}
    assert {path: data for path, data in left.items() if "geoqa" not in path} == others
    assert run(settings, "run", "--all").exit_code == 0
    assert query(settings, "SELECT subset FROM subsets") == [("some",)]


def test_gc_takes_nothing_for_vanished_where_the_source_is_away_or_empty(settings: Settings) -> None:
    before = files_below(Path(settings.data))
    shutil.rmtree(Path(settings.source) / "subsets")
    (Path(settings.source) / "subsets").mkdir()
    empty = run(settings, "gc", "--vanished", "--delete")
    assert "holds no subset at all, so nothing is taken for lost" in empty.stderr
    shutil.rmtree(settings.source)
    away = run(settings, "gc", "--vanished", "--delete")
    assert "The source cannot be opened, so what it lost is not looked for" in away.stderr
    assert (empty.exit_code, away.exit_code) == (0, 0)
    assert files_below(Path(settings.lake_root)) == {
        path.removeprefix("lake/"): data for path, data in before.items() if path.startswith("lake/")
    }


def test_gc_removes_nothing_while_runs_are_at_work(settings: Settings) -> None:
    age(settings, 8)
    home = Path(settings.data) / "dagster"
    session = sessions.Session(home)
    assert "a `visdiv run` is at work" in refused(run(settings, "gc", "--delete"))
    assert "can go" in run(settings, "gc").output
    session._lock.release()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        started = instance.create_run_for_job(build_definitions(settings).resolve_job_def(SUBSET_JOB))
        event = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_START.value, job_name=started.job_name)
        instance.report_dagster_event(event, started.run_id)
        assert f"runs are under way ({SUBSET_JOB})" in refused(run(settings, "gc", "--delete"))
        instance.report_run_failed(started)
    assert "Removed " in run(settings, "gc", "--delete").output


# doctor --------------------------------------------------------------------------------------------------------------


def findings(output: str) -> dict[str, tuple[str, str]]:
    """Level and text of each check, by name."""
    lines = [(line[:8].strip(), line[9:21].strip(), line[22:]) for line in output.splitlines()[:-1]]
    return {name: (level, said) for level, name, said in lines}


def test_a_healthy_setup_is_all_ok_but_for_the_daemon_and_is_not_changed(settings: Settings) -> None:
    before = lake_files(settings.data, "lake", "reports")
    result = run(settings, "doctor")
    assert result.exit_code == 0, result.output
    found = findings(result.output)
    assert list(found) == CHECKS
    assert {name: level for name, (level, _) in found.items() if level != "ok"} == {"daemon": "warning"}
    assert result.output.splitlines()[-1] == "16 checks: 0 problems, 1 warning"
    assert lake_files(settings.data, "lake", "reports") == before


def test_a_setup_before_the_first_run_is_healthy_and_nothing_is_written(ran: Path, tmp_path: Path) -> None:
    result = visdiv("doctor", source=ran / "source", data=tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert {level for level, _ in findings(result.output).values()} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_faults_are_all_told_at_once(settings: Settings) -> None:
    Path(settings.warehouse_path).write_bytes(b"no database")
    next(Path(settings.lake_root, "subset_images").rglob("*.parquet")).unlink()
    (Path(settings.data) / "dagster" / "dagster.yaml").write_text("nonsense: [")
    shutil.rmtree(settings.source)
    result = run(settings, "doctor", VISDIV_SSCD_MODEL="sscd_disc_mixup", VISDIV_SSCD_WEIGHTS="/no/such/file")
    assert result.exit_code == 1
    found = findings(result.output)
    assert [name for name, (level, _) in found.items() if level == "problem"] == [
        *("source", "weights", "lake", "warehouse", "state")
    ]
    assert result.output.splitlines()[-1] == "12 checks: 5 problems, 0 warnings"


def test_a_setting_that_is_wrong_ends_the_checks_in_its_line(tmp_path: Path) -> None:
    result = visdiv("doctor", data=tmp_path / "data", VISDIV_SORCE="x")
    assert result.exit_code == 1
    assert list(findings(result.output)) == ["python", "packages", "settings"]
    expected = "VISDIV_SORCE is not a setting: did you mean VISDIV_SOURCE? `visdiv settings` lists them all"
    assert findings(result.output)["settings"] == ("problem", expected)
