"""A lake to publish, the place of the published file, and a file that is only read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.publishing.warehouse.lakes import fill_lake
from visdiv_assets_tests.publishing.warehouse.published_files import Sample


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of its own for a test that changes it or publishes it."""
    return fill_lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A file published from `fill_lake`, to be read only."""
    folder = tmp_path_factory.mktemp("sample")
    lake = fill_lake(folder / "lake")
    published = publish(lake, folder / "visdiv.duckdb", category={"some": "OCR QA"}.get)
    shutil.rmtree(folder / "lake")
    return Sample(folder / "visdiv.duckdb", published)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is published: a folder with nothing else in it."""
    return tmp_path / "published" / "visdiv.duckdb"
