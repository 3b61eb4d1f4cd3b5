"""Find what is materialized of each subset, from the lake's manifests."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import LakeTable, remedy
from visdiv_assets.errors import SourceError, VisdivError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.schema import UNREAD
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import DamagedManifestError, Manifest

#: The tables that the runs of benchmarks make, beside reports about subsets.
_OF_A_BENCHMARK = (*astuple(CONTENT[Kind.BENCHMARK]), LakeTable.BENCHMARK_TEXTS)


@dataclass(frozen=True)
class SubsetState:
    """A subset and a line that describes its state."""

    subset: str
    summary: str


def subset_states(source: Source, lake: Lake) -> list[SubsetState]:
    """Return the state of every subset in the source or the lake, sorted by name.

    A subset has changed if the names, sizes, checksums or modification times of its files differ.
    """
    held = source.subsets()
    texts = CONTENT[Kind.SUBSET].texts
    lake = lake.snapshot(LakeTable.SUBSET_IMAGES, texts, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
    names = sorted({*held, *lake.partitions(LakeTable.SUBSET_IMAGES)})
    return [SubsetState(name, _state(source, lake, name, held=name in held)) for name in names]


def changed_subsets(source: Source, lake: Lake) -> list[str]:
    """Return the materialized subsets of the source whose files have changed since, sorted by name.

    A subset whose list of images is damaged counts as changed.
    """
    held = set(source.subsets())
    lake = lake.snapshot(LakeTable.SUBSET_IMAGES)
    names = [name for name in lake.partitions(LakeTable.SUBSET_IMAGES) if name in held]
    listed = ((name, lake.earlier(LakeTable.SUBSET_IMAGES, name)) for name in names)
    return [name for name, images in listed if images is None or _may_have_changed(source, images)]


def stale_benchmarks(source: Source, lake: Lake) -> list[str]:
    """Return the benchmarks of the source that are not materialized, or whose files have changed since.

    A materialized benchmark that cannot be read now, for example because it was removed from the Hub, is not stale.
    """
    lake = lake.snapshot(*_OF_A_BENCHMARK)
    return [name for name in source.benchmarks() if _is_stale(source, lake, name)]


def _is_stale(source: Source, lake: Lake, benchmark: str) -> bool:
    images, *others = _OF_A_BENCHMARK
    listed = lake.earlier(images, benchmark)
    if listed is None or None in (lake.earlier(table, benchmark) for table in others):
        return True
    try:
        return changed(source, listed, Kind.BENCHMARK)
    except VisdivError:
        return False


def _may_have_changed(source: Source, images: Manifest) -> bool:
    """Return whether a subset's files differ, or cannot be read: its run says why."""
    try:
        return changed(source, images, Kind.SUBSET)
    except SourceError:
        return True


def changed(source: Source, images: Manifest, kind: Kind) -> bool:
    """Return whether files differ from those that were listed, without reading them."""
    return source.observed_version(kind, images.partition) != images.facts.get("observed_version")


def _state(source: Source, lake: Lake, subset: str, *, held: bool) -> str:
    """Return the line about a subset; a damaged manifest or file of one must not hide the others."""
    try:
        return _summary(source, lake, subset, held=held)
    except DamagedManifestError as error:
        return str(error)


def _summary(source: Source, lake: Lake, subset: str, *, held: bool) -> str:
    images = lake.manifest(LakeTable.SUBSET_IMAGES, subset)
    if images is None:
        return f"not materialized{_fault(source, subset)}"
    facts = images.facts
    parts = [f"{facts['images']} images", f"{facts['images_unreadable']} unreadable"]
    texts = lake.manifest(CONTENT[Kind.SUBSET].texts, subset)
    if texts and texts.facts.get(UNREAD):
        parts.append(f"{texts.facts[UNREAD]} texts or ratings not read")
    embeddings = lake.manifest(LakeTable.SSCD_EMBEDDINGS, subset)
    if embeddings:
        parts.append(f"{embeddings.rows('ids')} embedded")
    pairs = lake.manifest(LakeTable.NEAR_DUPLICATES, subset)
    if pairs:
        parts.append(f"{pairs.rows('pairs')} close pairs")
    parts.append(images.materialized_at)
    if not held:
        parts.append("no longer in the source")
    else:
        try:
            if changed(source, images, Kind.SUBSET):
                parts.append(f"files changed: {remedy(LakeTable.SUBSET_IMAGES, subset)}")
        except SourceError as error:
            return f"{', '.join(parts)}: {error}"
    return ", ".join(parts)


def _fault(source: Source, subset: str) -> str:
    """Return why the files of a subset cannot be read, after a colon; empty if nothing is known."""
    try:
        source.observed_version(Kind.SUBSET, subset)
    except SourceError as error:
        return f": {error}"
    return ""
