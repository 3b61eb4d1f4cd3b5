"""The sample of the repository: its rows, what is planted in it, and one run of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from visdiv_assets.orchestration.runs import Outcome
from visdiv_assets_tests.conftest import SAMPLE, clean_environment, made_once
from visdiv_assets_tests.orchestration.assets.sample_runs import SUBSETS, Sample, SampleRun, run_sample, sample_settings


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleRun]:
    """The run of the sample with its Dagster instance, to be left unchanged."""
    with clean_environment():
        data = made_once(tmp_path_factory, "sample_run", run_sample)
    outcomes = json.loads((data / "outcomes.json").read_text(encoding="utf-8"))
    with dg.DagsterInstance.from_config(str(data / "dagster")) as instance:
        yield SampleRun(sample_settings(data), instance, tuple(Outcome(**outcome) for outcome in outcomes))


@pytest.fixture(scope="session")
def source_rows() -> dict[str, list[dict[str, Any]]]:
    """The rows of the sample's subsets, read with pyarrow only."""
    return {
        subset: [
            row for file in sorted((SAMPLE / "subsets" / subset).iterdir()) for row in pq.read_table(file).to_pylist()
        ]
        for subset in SUBSETS
    }


@pytest.fixture(scope="session")
def truth() -> dict[str, list[dict[str, Any]]]:
    """What is planted in the sample: copies, and rows with special images."""
    found: dict[str, list[dict[str, Any]]] = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """What the run of the sample left in the lake."""
    with clean_environment():
        data = made_once(tmp_path_factory, "sample_run", run_sample)
    return Sample(sample_settings(data))


@pytest.fixture(scope="session")
def copies(truth: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The planted copies: near and exact ones, ones across subsets, and leaks of benchmarks."""
    return truth["copies"]
