"""`visdiv doctor`, in this process, on the data of a small run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from visdiv_assets.settings import Settings
from visdiv_assets_tests.cli.conftest import copied
from visdiv_assets_tests.cli.conftest import run_visdiv as run
from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import lake_files

CHECKS = [
    *("python", "packages", "settings", "source", "columns", "device", "weights", "model", "ocr", "disk"),
    *("data folder", "lake", "warehouse", "garbage", "state", "daemon", "runs", "pools"),
]


def findings(output: str) -> dict[str, tuple[str, str]]:
    """Return the level and the text of each check by name."""
    lines = [(line[:8].strip(), line[9:21].strip(), line[22:]) for line in output.splitlines()[:-1]]
    return {name: (level, said) for level, name, said in lines}


@pytest.fixture
def settings(ran_all: Path, tmp_path: Path) -> Settings:
    """Return settings of a copy that a test may change."""
    return copied(ran_all, tmp_path)


def test_a_healthy_setup_is_ok_and_is_not_changed(settings: Settings) -> None:
    before = lake_files(settings.data, "lake", "reports")
    result = run(settings, "doctor")
    assert result.exit_code == 0, result.output
    found = findings(result.output)
    assert list(found) == CHECKS
    assert {name: level for name, (level, _) in found.items() if level != "ok"} == {"daemon": "warning"}
    assert result.output.splitlines()[-1] == "18 checks: 0 problems, 1 warning"
    assert lake_files(settings.data, "lake", "reports") == before


def test_a_setup_before_the_first_run_is_ok(ran_all: Path, tmp_path: Path) -> None:
    result = visdiv("doctor", source=ran_all / "source", data=tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert {level for level, _ in findings(result.output).values()} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_all_faults_are_shown(settings: Settings) -> None:
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
    assert result.output.splitlines()[-1] == "13 checks: 5 problems, 0 warnings"


def test_an_invalid_setting_ends_the_checks(tmp_path: Path) -> None:
    result = visdiv("doctor", data=tmp_path / "data", VISDIV_SORCE="x")
    assert result.exit_code == 1
    assert list(findings(result.output)) == ["python", "packages", "settings"]
    expected = "VISDIV_SORCE is not a setting: did you mean VISDIV_SOURCE? `visdiv settings` lists them all"
    assert findings(result.output)["settings"] == ("problem", expected)
