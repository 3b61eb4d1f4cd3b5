"""Find what is materialized of each subset, from the lake's manifests."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Literal

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
    """What is materialized of a subset.

    Attributes:
        subset: its name.
        state: `materialized`, `changed` (its files differ since), `not_materialized`, `vanished` (no longer in the
            source), or `damaged` (it or its results cannot be read).
        images: number of images; None, as the other numbers, if it is not materialized.
        images_unreadable: number of those that cannot be read.
        texts_not_read: number of texts or ratings that were not read.
        embedded: number of distinct images with SSCD vectors.
        close_pairs: number of stored pairs.
        materialized_at: when the images were listed.
        summary: all of this, and what to do, as one line.
    """

    subset: str
    state: Literal["materialized", "changed", "not_materialized", "vanished", "damaged"]
    summary: str
    images: int | None = None
    images_unreadable: int | None = None
    texts_not_read: int | None = None
    embedded: int | None = None
    close_pairs: int | None = None
    materialized_at: str | None = None


def subset_states(source: Source, lake: Lake) -> list[SubsetState]:
    """Return the state of every subset in the source or the lake, sorted by name.

    A subset has changed if the names, sizes, checksums or modification times of its files differ.
    """
    held = source.subsets()
    texts = CONTENT[Kind.SUBSET].texts
    lake = lake.snapshot(LakeTable.SUBSET_IMAGES, texts, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
    names = sorted({*held, *lake.partitions(LakeTable.SUBSET_IMAGES)})
    return [_state(source, lake, name, held=name in held) for name in names]


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


def _state(source: Source, lake: Lake, subset: str, *, held: bool) -> SubsetState:
    """Return the state of a subset; a damaged manifest or file of one must not hide the others."""
    try:
        images = lake.manifest(LakeTable.SUBSET_IMAGES, subset)
        if images is None:
            fault = _fault(source, subset)
            return SubsetState(subset, "damaged" if fault else "not_materialized", f"not materialized{fault}")
        counted = _counted(lake, images)
    except DamagedManifestError as error:
        return SubsetState(subset, "damaged", str(error))
    if not held:
        return replace(counted, state="vanished", summary=f"{counted.summary}, no longer in the source")
    try:
        if changed(source, images, Kind.SUBSET):
            advice = f"{counted.summary}, files changed: {remedy(LakeTable.SUBSET_IMAGES, subset)}"
            return replace(counted, state="changed", summary=advice)
    except SourceError as error:
        return replace(counted, state="damaged", summary=f"{counted.summary}: {error}")
    return counted


def _counted(lake: Lake, images: Manifest) -> SubsetState:
    """Return what the lake holds of a subset."""
    subset, facts = images.partition, images.facts
    parts = [f"{facts['images']} images", f"{facts['images_unreadable']} unreadable"]
    texts = lake.manifest(CONTENT[Kind.SUBSET].texts, subset)
    unread = texts.facts.get(UNREAD) if texts else None
    if unread:
        parts.append(f"{unread} texts or ratings not read")
    embeddings = lake.manifest(LakeTable.SSCD_EMBEDDINGS, subset)
    embedded = embeddings.rows("ids") if embeddings else None
    if embedded is not None:
        parts.append(f"{embedded} embedded")
    stored = lake.manifest(LakeTable.NEAR_DUPLICATES, subset)
    pairs = stored.rows("pairs") if stored else None
    if pairs is not None:
        parts.append(f"{pairs} close pairs")
    parts.append(images.materialized_at)
    return SubsetState(
        subset,
        "materialized",
        ", ".join(parts),
        facts["images"],
        facts["images_unreadable"],
        unread,
        embedded,
        pairs,
        images.materialized_at,
    )


def _fault(source: Source, subset: str) -> str:
    """Return why the files of a subset cannot be read, after a colon; empty if nothing is known."""
    try:
        source.observed_version(Kind.SUBSET, subset)
    except SourceError as error:
        return f": {error}"
    return ""
