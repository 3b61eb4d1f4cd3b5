"""The configuration that Dagster's launchpad shows for a job: the settings that people change for a run.

Without it the launchpad would show every field of every resource, paths included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visdiv_assets.orchestration.assets.quality import QualityConfig

#: Resources that the launchpad shows, with all their fields: of a resource that is configured in part, Dagster would
#: set the other fields to the defaults of their settings instead of their values.
SUBSET_RESOURCES = ("pair_search", "clip_pair_search", "verification", "cleaning", "decoder")
CORPUS_RESOURCES = ("cleaning",)
CALIBRATION_RESOURCES = ("calibration_settings",)
MAPS_RESOURCES = ("map_settings",)
OCR_RESOURCES = ("ocr",)

#: Thresholds of the quality ratings, which are the configuration of their asset.
QUALITY = {
    "quality_rows": {"config": {name: field.default for name, field in QualityConfig.model_fields.items()}},
}


def launch_config(
    resources: Mapping[str, Any], shown: Sequence[str], ops: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the configuration of a job, with the values that a run has unless they are edited.

    Args:
        resources: all resources by name.
        shown: names of the resources to show; each is a `LaunchpadResource`.
        ops: configuration of assets to show.
    """
    config = {
        name: {"config": {field: getattr(resources[name], field) for field in resources[name].setting_names()}}
        for name in shown
    }
    return {"resources": config, **({"ops": dict(ops)} if ops else {})}
