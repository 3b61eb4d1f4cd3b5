"""The configuration that Dagster's launchpad shows for a job: the settings that people change for a run.

Without it the launchpad would show every field of every resource, paths included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Resources that the launchpad shows, with all their fields: of a resource that is configured in part, Dagster would
#: set the other fields to the defaults of their settings instead of their values.
SUBSET_RESOURCES = (
    "pair_search",
    "clip_pair_search",
    "verification",
    "quality_filter",
    "cleaning",
    "decoder",
)
CORPUS_RESOURCES = ("cleaning",)
CALIBRATION_RESOURCES = ("calibration_settings",)
MAPS_RESOURCES = ("map_settings",)
OCR_RESOURCES = ("ocr",)


def launch_config(resources: Mapping[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a job, with the values that a run has unless they are edited.

    Args:
        resources: all resources by name.
        shown: names of the resources to show; each is a `LaunchpadResource`.
    """
    config = {
        name: {"config": {field: getattr(resources[name], field) for field in resources[name].setting_names()}}
        for name in shown
    }
    return {"resources": config}
