"""The README and the SQL examples agree with the program and the sample."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from visdiv_assets.settings import Settings, variable
from visdiv_assets_tests.conftest import clean_environment, made_once
from visdiv_assets_tests.orchestration.assets.sample_runs import run_sample, sample_settings
from visdiv_assets_tests.publishing.warehouse.sql_answers import answers, recorded_answers

README = Path(__file__).parents[3] / "README.md"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with clean_environment():
        data = made_once(tmp_path_factory, "sample_run", run_sample)
    return Path(sample_settings(data).warehouse_path)


def test_sql_examples_have_the_recorded_answers(warehouse: Path) -> None:
    assert answers(warehouse) == recorded_answers()


def test_files_that_the_readme_links_exist() -> None:
    linked = re.findall(r"\[[^\]]*\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    files = [name for name in linked if "://" not in name]
    assert [name for name in files if not (README.parent / name).is_file()] == []


def test_settings_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"VISDIV_[A-Z_]+", README.read_text(encoding="utf-8")))
    assert named <= {variable(name) for name in Settings.model_fields}
