"""Find what is materialized of each subset, from the lake's manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Literal

from visdiv_assets.contamination.positions import LEAK_IDS, decided_leaks
from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import CORPUS_PARTITION, NEEDS_OCR, LakeTable, remedy
from visdiv_assets.duplicates.decided_pairs import DECISIONS_INPUT, decided_pairs, effect_of
from visdiv_assets.duplicates.person_decisions import Decisions
from visdiv_assets.duplicates.text_verdicts import inputs_of_texts, read_texts
from visdiv_assets.duplicates.verify import VERIFY_VERSION
from visdiv_assets.errors import SourceError, StorageError, VisdivError
from visdiv_assets.imaging.limits import Decoding, has_decoding
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.schema import UNREAD
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import DamagedManifestError, Manifest
from visdiv_assets.wording import several

#: The tables that every run of a benchmark makes, beside reports about subsets; text in images is read on request.
_OF_A_BENCHMARK = tuple(
    table for table in (*astuple(CONTENT[Kind.BENCHMARK]), LakeTable.BENCHMARK_TEXTS) if table not in NEEDS_OCR
)

_NEW_DECISIONS = "people have decided on pairs since: `visdiv run --changed` obeys them"


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


def subset_states(source: Source, lake: Lake, decisions: Decisions) -> list[SubsetState]:
    """Return the state of every subset in the source or the lake, sorted by name.

    A subset has changed if the names, sizes, checksums or modification times of its files differ.

    Args:
        source: the source.
        lake: the lake.
        decisions: people's decisions on pairs, as runs would obey them now.
    """
    held = source.subsets()
    decided = set(newly_decided_subsets(lake, decisions))
    texts = CONTENT[Kind.SUBSET].texts
    lake = lake.snapshot(LakeTable.SUBSET_IMAGES, texts, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
    names = sorted({*held, *lake.partitions(LakeTable.SUBSET_IMAGES)})
    found = [_state(source, lake, name, held=name in held) for name in names]
    return [
        replace(each, summary=f"{each.summary}, {_NEW_DECISIONS}") if each.subset in decided else each for each in found
    ]


def changed_subsets(source: Source, lake: Lake) -> list[str]:
    """Return the materialized subsets of the source whose files have changed since, sorted by name.

    A subset whose list of images is damaged counts as changed.
    """
    held = set(source.subsets())
    lake = lake.snapshot(LakeTable.SUBSET_IMAGES)
    names = [name for name in lake.partitions(LakeTable.SUBSET_IMAGES) if name in held]
    listed = ((name, lake.earlier(LakeTable.SUBSET_IMAGES, name)) for name in names)
    return [name for name, images in listed if images is None or _may_have_changed(source, images)]


def newly_decided_subsets(lake: Lake, decisions: Decisions) -> list[str]:
    """Return the subsets with pairs on which people have decided otherwise than the last run obeyed, sorted by name."""
    tables = (LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CONTAMINATION)
    if not decisions.effective.num_rows:
        # Only earlier decisions that were taken back can matter, and the manifests name them.
        lake = lake.snapshot(*tables)
        obeying = (name for table in tables for name, manifest in _manifests(lake, table).items() if _obeys(manifest))
        return sorted(set(obeying))
    lake = lake.snapshot(*tables, LakeTable.SSCD_EMBEDDINGS, LakeTable.BENCHMARK_EMBEDDINGS)
    benchmarks = _manifests(lake, LakeTable.BENCHMARK_EMBEDDINGS)
    return [
        name
        for name, embeddings in _manifests(lake, LakeTable.SSCD_EMBEDDINGS).items()
        if _is_newly_decided(lake, name, embeddings, benchmarks, decisions)
    ]


def _is_newly_decided(
    lake: Lake, name: str, embeddings: Manifest, benchmarks: Mapping[str, Manifest], decisions: Decisions
) -> bool:
    """Return whether people have decided on pairs of a subset otherwise than its last run obeyed."""
    copies = lake.earlier(LakeTable.VERIFIED_DUPLICATES, name)
    leaks = lake.earlier(LakeTable.VERIFIED_CONTAMINATION, name)
    try:
        if copies is not None and _obeys(copies) != effect_of(decided_pairs(lake, [embeddings], decisions)):
            return True
        if leaks is None:
            return False
        compared = {other: benchmarks[other] for other in leaks.facts["benchmarks"] if other in benchmarks}
        return _obeys(leaks) != effect_of(decided_leaks(lake, embeddings, compared, decisions), LEAK_IDS)
    except StorageError:
        # A run of the subset makes the damaged file again, or says why not.
        return True


def newly_read_subsets(lake: Lake, decoding: Decoding) -> list[str]:
    """Return the subsets whose verdicts do not follow the text that was read since, sorted by name.

    Their own text was read, and that of benchmarks may be new. A subset of which anything else has changed is left out:
    it needs a whole run.

    Args:
        lake: the lake.
        decoding: how images are decoded now.
    """
    of_subset = (LakeTable.SUBSET_IMAGES, LakeTable.IMAGE_TEXTS, LakeTable.CONTAMINATION)
    lake = lake.snapshot(
        *of_subset,
        LakeTable.VERIFIED_CONTAMINATION,
        LakeTable.BENCHMARK_IMAGES,
        LakeTable.BENCHMARK_EMBEDDINGS,
        LakeTable.BENCHMARK_IMAGE_TEXTS,
    )
    listed = _manifests(lake, LakeTable.BENCHMARK_IMAGES)
    digests = {name: manifest.digest for name, manifest in _manifests(lake, LakeTable.BENCHMARK_EMBEDDINGS).items()}
    found = []
    for name, leaks in _manifests(lake, LakeTable.VERIFIED_CONTAMINATION).items():
        images, texts, joined = (lake.earlier(table, name) for table in of_subset)
        if images is None or texts is None or joined is None:
            continue
        made_from = {images.table: images.digest, joined.table: joined.digest}
        compared = [(Kind.BENCHMARK, listed[other]) for other in joined.inputs if other in listed]
        if (
            leaks.code_version == VERIFY_VERSION
            and has_decoding(leaks.settings, decoding)
            and made_from.items() <= leaks.inputs.items()
            and joined.inputs.items() <= digests.items()
            and not _follows_texts(lake, leaks, [(Kind.SUBSET, images), *compared], decoding)
        ):
            found.append(name)
    return found


def _follows_texts(lake: Lake, leaks: Manifest, sets: Sequence[tuple[Kind, Manifest]], decoding: Decoding) -> bool:
    """Return whether verdicts follow the text in images of a subset and benchmarks; damaged text cannot be followed."""
    try:
        return inputs_of_texts(read_texts(lake, sets, decoding)).items() <= leaks.inputs.items()
    except DamagedManifestError:
        return True


def newly_decided_across(lake: Lake, decisions: Decisions) -> bool:
    """Return whether people have decided on pairs across subsets otherwise than the last run obeyed."""
    verified = lake.earlier(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION)
    if verified is None or not decisions.effective.num_rows:
        return verified is not None and bool(_obeys(verified))
    lake = lake.snapshot(LakeTable.SSCD_EMBEDDINGS)
    embeddings = _manifests(lake, LakeTable.SSCD_EMBEDDINGS)
    compared = [embeddings[name] for name in verified.facts["subsets"] if name in embeddings]
    try:
        return _obeys(verified) != effect_of(decided_pairs(lake, compared, decisions, across=True))
    except StorageError:
        return True


def _obeys(verified: Manifest) -> str:
    """Return the digest of the decisions that a table of verified pairs has."""
    return verified.inputs.get(DECISIONS_INPUT, "")


def _manifests(lake: Lake, table: str) -> dict[str, Manifest]:
    """Return the manifests of a table by partition, without damaged ones."""
    found = ((name, lake.earlier(table, name)) for name in lake.partitions(table))
    return {name: manifest for name, manifest in found if manifest is not None}


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
    parts = [several(facts["images"], "image"), f"{facts['images_unreadable']} unreadable"]
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
        parts.append(several(pairs, "close pair"))
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
