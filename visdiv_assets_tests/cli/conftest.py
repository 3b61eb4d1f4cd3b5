"""Small sources that `visdiv run` was run on, for the tests of all that it leaves behind: findings, state and pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import Result

from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets_tests.cli.test_main import visdiv
from visdiv_assets_tests.conftest import Row, image, made_once, near_copy, one_each, write_shard

#: Seeds of images with a copy within the subset `one`, across `one` and `two`, and in the benchmark.
WITHIN, ACROSS, LEAK = 11, 12, 13


def run_and_keep_output(folder: Path, *arguments: str) -> None:
    """Run `source` of a folder, and keep what is printed in `stdout`."""
    result = visdiv("run", *arguments, source=folder / "source", data=folder / "data")
    assert result.exit_code == 0, result.output
    (folder / "stdout").write_text(result.stdout, encoding="utf-8")


@pytest.fixture(scope="session")
def ran_part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source`, `data`, and `stdout` of a run of one of three subsets, to be left unchanged."""

    def make(folder: Path) -> None:
        source = folder / "source"
        write_shard(source, "geoqa+(x)", [*one_each(range(3)), Row([near_copy(0), image(1), b"no image"])])
        write_shard(source, "one", [*one_each([WITHIN, ACROSS, LEAK, 14, 15]), Row([near_copy(WITHIN)])])
        write_shard(source, "two", [*one_each([16, 17]), Row([near_copy(ACROSS)])])
        leaked = [Row([near_copy(2)]), *one_each([7]), Row([near_copy(LEAK)])]
        write_shard(source, "bench", leaked, kind=Kind.BENCHMARK)
        run_and_keep_output(folder, "geoqa+(x)")

    return made_once(tmp_path_factory, "ran_part", make)


@pytest.fixture(scope="session")
def ran_all(ran_part: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of `ran_part` after a second run, of all subsets, to be left unchanged."""

    def make(folder: Path) -> None:
        copied(ran_part, folder)
        run_and_keep_output(folder, "--all")

    return made_once(tmp_path_factory, "ran_all", make)


@pytest.fixture(scope="session")
def ran_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `source` and `data` with remains of a run with other settings, to be left unchanged."""

    def make(folder: Path) -> None:
        write_shard(folder / "source", "some", one_each([1, 2]))
        write_shard(folder / "source", "geoqa+(x)", one_each([3]))
        write_shard(folder / "source", "bench", one_each([4]), kind=Kind.BENCHMARK)
        for floor in ("0.8", "0.75"):
            source, data = folder / "source", folder / "data"
            result = visdiv("run", "--all", source=source, data=data, VISDIV_SIMILARITY_FLOOR=floor)
            assert result.exit_code == 0, result.output

    return made_once(tmp_path_factory, "ran_twice", make)


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
