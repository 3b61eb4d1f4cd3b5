"""Fixtures of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets.settings import Settings
from visdiv_assets_tests.conftest import (
    Row,
    clean_environment,
    made_once,
    near_copy,
    one_each,
    png,
    shapes,
    write_shard,
)
from visdiv_assets_tests.reliability.processes import SUBSETS, Work, finished


def _settings(source: Path, data: Path) -> Settings:
    return Settings(source=str(source), data=str(data), device="cpu", copies_by="similarity", clip_model="")


def _make(folder: Path) -> None:
    for number, name in enumerate(SUBSETS):
        first = 20 * number
        write_shard(folder / "source", name, one_each(range(first, first + 4)))
        write_shard(folder / "source", name, [Row([near_copy(first)]), *one_each([first + 4, first + 5])], 1)
        own = shapes(2)
        own.putpixel((number, 1), (0, 255, 0))
        write_shard(folder / "source", name, [Row([near_copy(0)]), *one_each([1, first + 6]), Row([png(own)])], 2)
    with clean_environment():
        finished(Work(_settings(folder / "source", folder / "data"), SUBSETS, publish=True))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a run of the whole corpus that nothing disturbed; to be read only."""
    folder = made_once(tmp_path_factory, "undisturbed", _make)
    return _settings(folder / "source", folder / "data")


@pytest.fixture
def corpus(undisturbed: Settings, tmp_path: Path) -> Settings:
    """Settings with an empty data folder, for the same corpus.

    It holds the subsets `a`, `b` and `c`, of three files each, with copies within and across, and in each a copy of an
    image of `a` that no other one holds.
    """
    return undisturbed.model_copy(update={"data": str(tmp_path / "data")})
