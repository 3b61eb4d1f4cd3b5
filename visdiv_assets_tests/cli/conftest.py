"""A small source that `visdiv run` was run on twice, for the tests of `visdiv gc` and `visdiv doctor`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import made_once, one_each, write_shard


def make_and_run_twice(folder: Path) -> None:
    """A source with two subsets and a benchmark, run twice under different settings."""
    write_shard(folder / "source", "some", one_each([1, 2]))
    write_shard(folder / "source", "geoqa+(x)", one_each([3]))
    write_shard(folder / "source", "bench", one_each([4]), kind=Kind.BENCHMARK)
    for floor in ("0.8", "0.75"):
        arguments = {"source": folder / "source", "data": folder / "data", "VISDIV_SIMILARITY_FLOOR": floor}
        result = visdiv("run", "--all", **arguments)
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def ran_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `source` and `data`; nothing in it may be changed."""
    return made_once(tmp_path_factory, "upkeep", make_and_run_twice)


@pytest.fixture
def settings(ran_twice: Path, tmp_path: Path) -> Settings:
    """A copy of the data that may be changed."""
    for name in ("source", "data"):
        shutil.copytree(ran_twice / name, tmp_path / name)
    return Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu")


def run_visdiv(settings: Settings, *arguments: str, **variables: str) -> Result:
    return visdiv(*arguments, source=settings.source, data=settings.data, **variables)
