"""Functions that read what the stages wrote, by its meaning: partitions, positions, vectors and pairs.

None of them needs Dagster. Functions of one manifest take it, so that a caller reads one consistent state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, TABLES, LakeTable, PartitionKind, remedy
from visdiv_assets.embedding.regions import regions_model_id
from visdiv_assets.errors import ModelError, StaleError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import Version, version_of
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.matrix import Matrix


@dataclass(frozen=True)
class ContentTables:
    """Tables of the lake about the content of subsets, or of benchmarks: those of the pass, and of text in images."""

    images: str
    texts: str
    thumbnails: str
    features: str
    embeddings: str
    regions: str
    image_texts: str


#: Subsets and benchmarks pass through the same stages, into tables of their own.
CONTENT = {
    Kind.SUBSET: ContentTables(
        LakeTable.SUBSET_IMAGES,
        LakeTable.SUBSET_TURNS,
        LakeTable.SUBSET_THUMBNAILS,
        LakeTable.SUBSET_FEATURES,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.SUBSET_REGIONS,
        LakeTable.IMAGE_TEXTS,
    ),
    Kind.BENCHMARK: ContentTables(
        LakeTable.BENCHMARK_IMAGES,
        LakeTable.BENCHMARK_STRINGS,
        LakeTable.BENCHMARK_THUMBNAILS,
        LakeTable.BENCHMARK_FEATURES,
        LakeTable.BENCHMARK_EMBEDDINGS,
        LakeTable.BENCHMARK_REGIONS,
        LakeTable.BENCHMARK_IMAGE_TEXTS,
    ),
}


@dataclass(frozen=True)
class EmbeddedSubset:
    """The distinct images of a subset or benchmark.

    Attributes:
        name: of the subset.
        image_ids: string [n], each once.
        vectors: their unit vectors [n, d].
        background: float32 [n], `background_similarity`, with nulls.
    """

    name: str
    image_ids: pa.Array
    vectors: Matrix
    background: pa.Array


def present_partitions(lake: Lake, source: Source) -> Lake:
    """Return the lake with only the subsets and benchmarks that the source still holds.

    Images of the others can no longer be fetched; `visdiv gc --vanished` removes what is stored of them.
    """
    subsets, benchmarks = {*source.subsets(), CORPUS_PARTITION}, set(source.benchmarks())
    of_benchmarks = {table for table, kind in TABLES.items() if kind is PartitionKind.BENCHMARK}
    return lake.filtered(lambda table, name: name in (benchmarks if table in of_benchmarks else subsets))


def partitions_with(lake: Lake, *tables: str) -> list[str]:
    """Return the names of the partitions that have all of the tables, sorted."""
    found = [set(lake.partitions(table)) for table in tables]
    return sorted(set.intersection(*found))


def require_one_model(manifests: Iterable[Manifest]) -> str | None:
    """Return the model_id that all manifests share; None if there are none.

    Raises:
        ModelError: two of them differ; vectors of two models are never compared.
    """
    first: Manifest | None = None
    for manifest in manifests:
        first = first or manifest
        if manifest.model_id != first.model_id:
            raise ModelError(
                f"{first.partition!r} was embedded with {first.model_id} and {manifest.partition!r} with "
                f"{manifest.model_id}: embed both with the same model (`visdiv run --all` with the current settings)"
            )
    return first.model_id if first else None


def current_embeddings(lake: Lake, images: Manifest, table: str = LakeTable.SSCD_EMBEDDINGS) -> Manifest:
    """Return the embeddings of a subset that were made from the given list of its images.

    Raises:
        NotMaterializedError: the subset was never embedded.
        StaleError: its images were listed again after it was embedded.
    """
    return require_made_from(lake.require(table, images.partition), images)


def current_turns(lake: Lake, subset: str) -> Manifest:
    """Return the turns of a subset, which must be those of its present list of images.

    Raises:
        NotMaterializedError: they were never stored.
        StaleError: the images were listed again after that.
    """
    return current_embeddings(lake, lake.require(LakeTable.SUBSET_IMAGES, subset), LakeTable.SUBSET_TURNS)


def require_made_from(made: Manifest, source: Manifest) -> Manifest:
    """Return a partition, which must have been made from the present state of the same partition of another table.

    Findings by row number are refused without it: the row numbers of other turns or images would be read as theirs.

    Raises:
        StaleError: it was made from another state.
    """
    if made.inputs.get(source.table) != source.digest:
        raise StaleError(
            f"{made.table} of {made.partition!r} is older than its {source.table}: {remedy(made.table, made.partition)}"
        )
    return made


def is_current(lake: Lake, manifest: Manifest) -> bool:
    """Return whether a table of a subset was made from the images and turns that the subset has now.

    Turns count only if they are those of its present images.

    Args:
        lake: where they lie.
        manifest: manifest of the table; its rows and turns are those of the tables that it was made from.
    """
    for table in (LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_TURNS):
        made_from, now = manifest.inputs.get(table), lake.manifest(table, manifest.partition)
        if made_from is not None and now is not None and (made_from != now.digest or not is_current(lake, now)):
            return False
    return True


def require_current(lake: Lake, manifest: Manifest) -> Manifest:
    """Return a table of a subset, which must be of the images and turns that the subset has now; see `is_current`.

    Raises:
        StaleError: it was made from others.
    """
    if not is_current(lake, manifest):
        raise StaleError(
            f"{manifest.table} of {manifest.partition!r} is older than its images or turns: "
            f"{remedy(manifest.table, manifest.partition)}"
        )
    return manifest


def current_regions(lake: Lake, embeddings: Manifest, kind: Kind = Kind.SUBSET) -> Manifest:
    """Return the regions of a subset or benchmark, which must be those of the images that its embeddings are of.

    Raises:
        NotMaterializedError: they were never stored.
        StaleError: they were made from another list of images, by another model, or not at all.
    """
    regions = lake.require(CONTENT[kind].regions, embeddings.partition)
    model_id = regions_model_id(embeddings.model_id or "")
    if (regions.inputs, regions.model_id) != (embeddings.inputs, model_id):
        raise StaleError(
            f"{regions.table} of {regions.partition!r} do not belong to its {embeddings.table}: "
            f"{remedy(regions.table, regions.partition)} with VISDIV_REGIONS=true"
        )
    return regions


def listed_version(source: Source, images: Manifest, kind: Kind = Kind.SUBSET) -> Version:
    """Return the current version of a subset or benchmark, which must be the one whose images were listed.

    Raises:
        StaleError: its files have changed since.
    """
    version = version_of(source, kind, images.partition, known=images.facts["digests"])
    if version.revision != images.source_revision:
        raise StaleError(
            f"{images.partition!r} has changed since {images.table} listed it: {remedy(images.table, images.partition)}"
        )
    return version


def comparable_benchmarks(lake: Lake, embeddings: Manifest) -> dict[str, tuple[Manifest, Manifest]]:
    """Return the images and embeddings of every materialized benchmark, by name.

    Args:
        lake: where they lie.
        embeddings: manifest of the embeddings of the subset that they are compared with.

    Raises:
        ModelError: a benchmark was embedded by another model than the subset.
    """
    names = lake.partitions(LakeTable.BENCHMARK_EMBEDDINGS)
    found = {
        name: (lake.require(LakeTable.BENCHMARK_IMAGES, name), lake.require(LakeTable.BENCHMARK_EMBEDDINGS, name))
        for name in names
    }
    require_one_model([embeddings, *(of_benchmark for _, of_benchmark in found.values())])
    return found


def digests_by_partition(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return the digests of manifests of several partitions, by "partition table": the inputs of a unit of work."""
    return {f"{manifest.partition} {manifest.table}": manifest.digest for manifest in manifests}


def read_pairs(lake: Lake, manifest: Manifest, schema: pa.Schema, role: str = "pairs") -> pa.Table:
    """Read all pairs of a partition; an empty table of the schema if it has none."""
    return lake.read(manifest, role) if manifest.files(role) else schema.empty_table()


def readable_positions(lake: Lake, images: Manifest) -> pa.Table:
    """Read the readable positions of a subset or benchmark, in order: row, image_index, image_id, low_information."""
    columns = ["row", "image_index", "image_id", "low_information"]
    return lake.read(images, columns=columns, where=pc.field("status") == "ok")


def first_positions(images: pa.Table) -> pa.Table:
    """Return the first position of every readable image, in order of position.

    Args:
        images: rows of `subset_images` in order: row, image_index, image_id, status.

    Returns:
        table of row, image_index, image_id; every readable image_id once.
    """
    readable = images.filter(pc.equal(images["status"], "ok")).select(["row", "image_index", "image_id"])
    indexed = readable.append_column("index", pa.array(np.arange(readable.num_rows)))
    first = indexed.group_by("image_id", use_threads=False).aggregate([("index", "min")])["index_min"]
    return readable.take(np.sort(first.to_numpy()))


def load_embeddings(lake: Lake, embeddings: Manifest, nearest: Manifest | None = None) -> EmbeddedSubset:
    """Load the vectors of a subset or benchmark, memory-mapped, with their image_ids.

    Args:
        lake: where they lie.
        embeddings: manifest of its embeddings.
        nearest: manifest of `near_duplicates`, which holds the background similarity; all null without it.
    """
    image_ids = lake.read(embeddings, "ids")["image_id"].combine_chunks()
    if nearest is None:
        background = pa.nulls(len(image_ids), pa.float32())
    else:
        counts = lake.read(nearest, "counts", columns=["background_similarity"])
        background = counts["background_similarity"].combine_chunks()
    return EmbeddedSubset(embeddings.partition, image_ids, lake.array(embeddings, "vectors"), background)
