"""The entry point for Dagster: all assets, checks, jobs, schedules, sensors and resources of this code location.

It is an explicit `Definitions`, so an installed wheel works without a project folder.
"""

from __future__ import annotations

import dagster as dg

from visdiv_assets.orchestration.code_location import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions that Dagster loads."""
    return build_definitions()
