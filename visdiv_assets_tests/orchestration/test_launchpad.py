"""The configuration that the launchpad shows, and values in it that are refused."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from visdiv_assets.errors import ConfigError
from visdiv_assets.orchestration import automation
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.resources import CleaningResource, PairSearchResource
from visdiv_assets.settings import Settings


def shown(job: str, **settings: Any) -> dict[str, Any]:
    """Return the configuration that the launchpad shows for a job."""
    resolved = build_definitions(Settings(**settings)).resolve_job_def(job)
    config = resolved.run_config
    if resolved.partitioned_config:
        config = resolved.partitioned_config.get_run_config_for_partition_key("some")
    return dict(config or {})


def test_the_launchpad_shows_the_settings_as_they_are() -> None:
    config = shown(automation.CORPUS_JOB, row_rule="any", duplicate_threshold=0.9, drop="quality,duplicate")
    cleaning = config["resources"]["cleaning"]["config"]
    expected = {
        "copies_by": "pixels",
        "duplicate_threshold": 0.9,
        "contamination_threshold": 0.95,
        "contamination_limit": 0.05,
        "row_rule": "any",
        "drop": ["quality", "duplicate"],
        "keep_by": "",
        "keep_fraction": 1.0,
        "keep_rows": "",
    }
    assert {name: cleaning[name] for name in expected} == expected
    assert set(cleaning) == set(CleaningResource.model_fields)
    assert set(config["resources"]) == {"cleaning"}


@pytest.mark.parametrize(
    "job",
    [
        automation.SUBSET_JOB,
        automation.CALIBRATION_JOB,
        automation.MAPS_JOB,
        automation.OCR_JOB,
        automation.BENCHMARK_OCR_JOB,
    ],
)
def test_what_the_launchpad_shows_is_accepted(job: str) -> None:
    config = shown(job)
    assert config["resources"]
    assert dg.validate_run_config(build_definitions(Settings()).resolve_job_def(job), config)


def test_the_launchpad_shows_floors_and_ratings_of_subsets() -> None:
    config = shown(automation.SUBSET_JOB, similarity_floor=0.8, quality_rule="row")
    assert config["resources"]["pair_search"]["config"]["similarity_floor"] == 0.8
    assert config["resources"]["quality_filter"]["config"] == {"thresholds": "none", "rule": "row"}


@pytest.mark.parametrize(("value", "reason"), [(1.5, "less than or equal to 1"), (0, "greater than 0")])
def test_a_value_outside_the_range_of_its_setting_is_refused(value: float, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"invalid value for similarity_floor \(PairSearch.*{reason}"):
        PairSearchResource(similarity_floor=value)


def test_rules_that_a_setting_would_refuse_are_refused() -> None:
    cleaning = CleaningResource.from_settings(Settings())
    with pytest.raises(ConfigError, match="invalid value for row_rule"):
        CleaningResource(**{**cleaning.model_dump(), "row_rule": "some"})
    with pytest.raises(ConfigError, match="'dull' is not a reason to drop a row"):
        CleaningResource(**{**cleaning.model_dump(), "drop": ["dull"]}).rules(0.75)
    with pytest.raises(ConfigError, match=r"duplicate_threshold \(0.7\) is less than similarity_floor"):
        CleaningResource(**{**cleaning.model_dump(), "duplicate_threshold": 0.7}).rules(0.75)


def test_rows_that_are_selected_count_as_a_reason() -> None:
    cleaning = CleaningResource.from_settings(Settings(drop="duplicate"))
    chosen = CleaningResource(**{**cleaning.model_dump(), "keep_by": "semdedup"})
    assert (cleaning.reasons, chosen.reasons) == (("duplicate",), ("duplicate", "selection"))
