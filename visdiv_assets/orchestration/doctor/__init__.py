"""Checks of everything that a run needs.

Each is a function that returns a verdict, with what to do, and changes nothing. The checks of Dagster's state are in
`visdiv_assets.orchestration.state`.
"""

from visdiv_assets.orchestration.doctor.verdicts import Check, Finding, Level, Verdict, examine, ok, problem, warning

__all__ = ["Check", "Finding", "Level", "Verdict", "examine", "ok", "problem", "warning"]
