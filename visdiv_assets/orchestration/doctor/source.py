"""The source: whether it can be opened, and what it holds."""

from __future__ import annotations

from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source


def check_source(settings: Settings) -> Verdict:
    """Whether the source opens and holds subsets and benchmarks; no file of it is read."""
    source = open_source(settings)
    subsets, benchmarks = source.subsets(), source.benchmarks()
    if not subsets:
        return problem(f"{source.uri} holds no subset: put Parquet files into subsets/<name>/")
    text = f"{source.uri}: {len(subsets)} subsets, {len(benchmarks)} benchmarks"
    if not benchmarks:
        return warning(f"{text}: leaks are looked for in benchmarks only, put theirs into benchmarks/<name>/")
    return ok(text)
