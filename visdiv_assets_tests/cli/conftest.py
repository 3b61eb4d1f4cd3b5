"""A small source that `visdiv run` was run on, for the tests of `visdiv gc`, `visdiv doctor` and plans of runs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result

from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import made_once, one_each, write_shard


def make_and_run(folder: Path, floors: Sequence[str]) -> None:
    """Make a source of two subsets and a benchmark, and run it with each floor of similarities, 0.75 last."""
    write_shard(folder / "source", "some", one_each([1, 2]))
    write_shard(folder / "source", "geoqa+(x)", one_each([3]))
    write_shard(folder / "source", "bench", one_each([4]), kind=Kind.BENCHMARK)
    for floor in floors:
        result = visdiv("run", "--all", source=folder / "source", data=folder / "data", VISDIV_SIMILARITY_FLOOR=floor)
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source` and `data`, to be left unchanged."""
    return made_once(tmp_path_factory, "ran_once", partial(make_and_run, floors=["0.75"]))


@pytest.fixture(scope="session")
def ran_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source` and `data` with remains of a run with other settings, to be left unchanged."""
    return made_once(tmp_path_factory, "ran_twice", partial(make_and_run, floors=["0.8", "0.75"]))


@pytest.fixture
def settings(ran_twice: Path, tmp_path: Path) -> Settings:
    """Return settings of a copy that a test may change."""
    return copied(ran_twice, tmp_path)


def copied(ran: Path, folder: Path) -> Settings:
    """Copy a source and its data, and return settings of the copy."""
    for name in ("source", "data"):
        shutil.copytree(ran / name, folder / name)
    return Settings(source=str(folder / "source"), data=str(folder / "data"), device="cpu")


def run_visdiv(settings: Settings, *arguments: str, **variables: str) -> Result:
    """Run the command on the source and the data of settings."""
    return visdiv(*arguments, source=settings.source, data=settings.data, **variables)
