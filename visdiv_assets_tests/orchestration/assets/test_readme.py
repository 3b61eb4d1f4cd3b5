"""The README says what the sample says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from visdiv_assets.settings import Settings, variable
from visdiv_assets_tests.conftest import clean_environment, made_once
from visdiv_assets_tests.orchestration.assets.test_pipeline import run_sample, sample_settings
from visdiv_assets_tests.testing.readme import README, answer, questions


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with clean_environment():
        data = made_once(tmp_path_factory, "sample_run", run_sample)
    return Path(sample_settings(data).warehouse_path)


def test_every_question_has_the_answer_that_the_sample_gives(warehouse: Path) -> None:
    asked = questions()
    assert len(asked) >= 8
    assert {sql: answer(warehouse, sql) for sql, _ in asked} == dict(asked)


def test_every_image_that_is_shown_is_there() -> None:
    text = README.read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(shown) >= 3
    assert all((README.parent / name).stat().st_size > 10_000 for name in shown)


def test_every_file_that_is_linked_is_there() -> None:
    linked = re.findall(r"(?<!!)\[[^\]]*\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    files = [name for name in linked if "://" not in name]
    assert len(files) >= 3
    assert [name for name in files if not (README.parent / name).is_file()] == []


def test_every_setting_that_is_named_exists() -> None:
    text = README.read_text(encoding="utf-8")
    named = set(re.findall(r"VISDIV_[A-Z_]+", text))
    assert len(named) >= 5
    assert named <= {variable(name) for name in Settings.model_fields}
