"""Check the source."""

from __future__ import annotations

from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source


def check_source(settings: Settings) -> Verdict:
    """Check that the source can be opened and has subsets and benchmarks, without reading its files."""
    source = open_source(settings)
    subsets, benchmarks = source.subsets(), source.benchmarks()
    if not subsets:
        return problem(f"{source.uri} has no subset: put Parquet files into subsets/<name>/")
    text = f"{source.uri}: {len(subsets)} subsets, {len(benchmarks)} benchmarks"
    if not benchmarks:
        return warning(f"{text}, so no contamination is found: put files of benchmarks into benchmarks/<name>/")
    return ok(text)
