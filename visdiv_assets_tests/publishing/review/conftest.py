"""A lake of compared pairs, and the review of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from visdiv_assets.publishing.review.pair_index import PairIndex
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import made_once
from visdiv_assets_tests.publishing.review.lakes import make_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(made_once(tmp_path_factory, "review", lambda folder: make_lake(folder)))


@pytest.fixture
def index(lake: Lake) -> Iterator[PairIndex]:
    with PairIndex(lake) as index:
        yield index


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"
