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
    """Make a source of two subsets and a benchmark, and run it twice with different settings."""
    write_shard(folder / "source", "some", one_each([1, 2]))
    write_shard(folder / "source", "geoqa+(x)", one_each([3]))
    write_shard(folder / "source", "bench", one_each([4]), kind=Kind.BENCHMARK)
    for floor in ("0.8", "0.75"):
        result = visdiv("run", "--all", source=folder / "source", data=folder / "data", VISDIV_SIMILARITY_FLOOR=floor)
        assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def ran_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source` and `data`, to be left unchanged."""
    return made_once(tmp_path_factory, "upkeep", make_and_run_twice)


@pytest.fixture
def settings(ran_twice: Path, tmp_path: Path) -> Settings:
    """Return settings of a copy that a test may change."""
    for name in ("source", "data"):
        shutil.copytree(ran_twice / name, tmp_path / name)
    return Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu")


def run_visdiv(settings: Settings, *arguments: str, **variables: str) -> Result:
    """Run the command on the source and the data of settings."""
    return visdiv(*arguments, source=settings.source, data=settings.data, **variables)
