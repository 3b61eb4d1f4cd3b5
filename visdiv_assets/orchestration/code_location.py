"""Build the definitions: assets, checks, jobs, schedules, sensors and resources."""

from __future__ import annotations

from typing import Any

import dagster as dg

from visdiv_assets.orchestration import assets, automation
from visdiv_assets.orchestration.presentation import REPORTS, with_presentation
from visdiv_assets.orchestration.resources import build_resources
from visdiv_assets.orchestration.web import START
from visdiv_assets.settings import Settings, load_settings


def build_definitions(settings: Settings | None = None, **resource_overrides: Any) -> dg.Definitions:
    """Build the definitions.

    Args:
        settings: the settings; loaded by `load_settings` if None.
        resource_overrides: resources that replace the configured ones, by name.
    """
    settings = settings or load_settings()
    resources = build_resources(settings) | resource_overrides
    return dg.Definitions(
        assets=with_presentation(automation.with_conditions(dg.load_assets_from_modules(assets.STAGES))),
        jobs=[*automation.pipelines(resources), *automation.OBSERVATIONS],
        schedules=automation.schedules(settings.observe_cron),
        sensors=automation.SENSORS,
        resources=resources,
        # One process runs all stages of a subset, which costs 2 seconds of overhead per run instead of 9.
        executor=dg.in_process_executor,
        # The page of the code location in the UI shows them.
        metadata={
            "where_to_start": dg.MetadataValue.url(START),
            "reports": dg.MetadataValue.url(REPORTS),
            "data": dg.MetadataValue.path(settings.data_folder),
        },
    )
