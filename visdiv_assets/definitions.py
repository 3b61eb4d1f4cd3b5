"""Dagster's entry point: the definitions of this code location.

`dagster dev -m visdiv_assets.definitions` loads them from an installed wheel, without a project folder.
"""

from __future__ import annotations

import dagster as dg

from visdiv_assets.orchestration.code_location import build_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions, configured by the settings."""
    return build_definitions()
