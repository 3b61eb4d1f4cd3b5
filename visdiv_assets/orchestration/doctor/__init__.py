"""Is everything there that a run needs? Each check is a small function that gives one verdict and changes nothing.

Belongs here: looking, and saying what to do. Does not: mending, what a run does, and Dagster, whose state is looked at
in `visdiv_assets.orchestration.state`.
"""

from visdiv_assets.orchestration.doctor.verdicts import Check, Finding, Level, Verdict, examine, ok, problem, warning

__all__ = ["Check", "Finding", "Level", "Verdict", "examine", "ok", "problem", "warning"]
