"""Check the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from visdiv_assets.errors import SourceError
from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.interface import ColumnsTaken
from visdiv_assets.sources.left_out import count_by_kind
from visdiv_assets.wiring import open_source
from visdiv_assets.wording import several

#: Names, or groups of files, in one line.
_SHOWN = 10


def check_source(settings: Settings) -> Verdict:
    """Check that the source can be opened and has subsets and benchmarks, without reading its files."""
    source = open_source(settings)
    subsets, benchmarks = source.subsets(), source.benchmarks()
    if not subsets:
        return problem(f"{source.uri} has no subset: put Parquet files into subsets/<name>/")
    counts = f"{several(len(subsets), 'subset')}, {several(len(benchmarks), 'benchmark')}"
    text = f"{source.uri}: {counts}"
    if not benchmarks:
        return warning(f"{text}, so no contamination is found: put files of benchmarks into benchmarks/<name>/")
    return ok(text)


def check_left_out(settings: Settings) -> Verdict | None:
    """Name what the source holds that is not read."""
    source = _open_if_possible(settings)
    left_out = source.left_out() if source else []
    return ok(f"not read: {count_by_kind(left_out)}: {_listed(list(map(str, left_out)))}") if left_out else None


def check_columns(settings: Settings) -> Verdict | None:
    """Check that each subset and benchmark has files with images, and say which columns are read.

    Of each, the first file is opened; of a source on the Hub, only that of the first subset.
    """
    source = _open_if_possible(settings)
    if source is None:
        return None
    read: dict[str, list[str]] = defaultdict(list)
    wrong: dict[str, list[str]] = defaultdict(list)
    faults = []
    for kind, name in _sets(source, remote="://" in settings.source):
        try:
            taken = source.columns_taken(kind, name)
        except SourceError as error:
            faults.append(f"{name}: {error}")
            continue
        read[_describe(taken)].append(name)
        for _, reason in taken.wrong:
            wrong[reason].append(name)
    if faults:
        return problem(f"{len(faults)} cannot be read, only their runs fail: {_listed(faults)}")
    if not read:
        return None
    text = "; ".join(f"{what} in {_listed(names)}" for what, names in read.items())
    if not wrong:
        return ok(text)
    types = "; ".join(f"{what} in {_listed(names)}" for what, names in wrong.items())
    return warning(f"{text}. Read as null because of their types: {types}. Name columns in VISDIV_TEXT_COLUMNS")


def _open_if_possible(settings: Settings) -> Source | None:
    """Return the source; None if it cannot be opened, which `check_source` reports."""
    try:
        source = open_source(settings)
        source.subsets()
    except SourceError:
        return None
    return source


def _sets(source: Source, *, remote: bool) -> Iterator[tuple[Kind, str]]:
    subsets = source.subsets()
    yield from ((Kind.SUBSET, name) for name in (subsets[:1] if remote else subsets))
    if not remote:
        yield from ((Kind.BENCHMARK, name) for name in source.benchmarks())


def _describe(taken: ColumnsTaken) -> str:
    texts = f"texts from {' and '.join(taken.texts)}" if taken.texts else "no texts"
    unused = f", not used: {', '.join(taken.unused)}" if taken.unused else ""
    return f"images from {' and '.join(taken.images)}, {texts}{unused}"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
