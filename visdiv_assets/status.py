"""What is materialised of each subset, read from the lake's manifests."""

from __future__ import annotations

from dataclasses import dataclass

from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


@dataclass(frozen=True)
class SubsetState:
    """A subset and one line about it."""

    subset: str
    summary: str


def subset_states(source: Source, lake: Lake) -> list[SubsetState]:
    """The state of every subset that the source or the lake holds, by name.

    Whether a subset has changed is told from its files' fingerprints (size and time of change), without reading them.
    """
    held = source.subsets()
    names = sorted({*held, *lake.partitions("subset_images")})
    return [SubsetState(name, _summary(source, lake, name, held=name in held)) for name in names]


def stale_benchmarks(source: Source, lake: Lake) -> list[str]:
    """Benchmarks of the source that were never embedded, or whose files have changed since."""
    stale = []
    for name in source.benchmarks():
        images = lake.manifest("benchmark_images", name)
        if (
            images is None
            or lake.manifest("benchmark_embeddings", name) is None
            or _changed(source, images, Kind.BENCHMARK)
        ):
            stale.append(name)
    return stale


def _changed(source: Source, images: Manifest, kind: Kind) -> bool:
    """Whether files look different from those that were listed, by size and time of change."""
    return {shard.fingerprint for shard in source.shards(kind, images.partition)} != set(images.facts["digests"])


def _summary(source: Source, lake: Lake, subset: str, *, held: bool) -> str:
    images = lake.manifest("subset_images", subset)
    if images is None:
        return "not materialised"
    facts = images.facts
    parts = [f"{facts['images']} images", f"{facts['images_unreadable']} unreadable"]
    embeddings = lake.manifest("sscd_embeddings", subset)
    if embeddings:
        parts.append(f"{embeddings.rows('ids')} embedded")
    pairs = lake.manifest("near_duplicates", subset)
    if pairs:
        parts.append(f"{pairs.rows('pairs')} near pairs")
    parts.append(images.materialized_at)
    if not held:
        parts.append("no longer in the source")
    elif _changed(source, images, Kind.SUBSET):
        parts.append("files changed since: run it again")
    return ", ".join(parts)
