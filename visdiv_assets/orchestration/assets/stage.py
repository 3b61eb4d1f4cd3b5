"""What all asset modules share."""

import base64
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import locate_pairs
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.linked_images import require_one_model
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.presentation import column_lineage
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import Version, version_of
from visdiv_assets.storage import locks
from visdiv_assets.storage.error_messages import is_of_object_storage, read_error
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


@dataclass(frozen=True)
class ContentTables:
    """Tables of the lake, named as the assets that make them, that hold the images of one kind of set."""

    images: str
    embeddings: str


#: Subsets and benchmarks go through the same stages, into tables of their own.
CONTENT = {
    Kind.SUBSET: ContentTables(LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS),
    Kind.BENCHMARK: ContentTables(LakeTable.BENCHMARK_IMAGES, LakeTable.BENCHMARK_EMBEDDINGS),
}

ROWS_SHOWN = 20

#: How often an asset begins again because another run wrote its partition from other inputs.
MAX_CONFLICT_RETRIES = 20


@contextmanager
def user_errors() -> Iterator[None]:
    """Show what a user can mend as one line instead of a stack trace, and do not retry it.

    What was overtaken by another run begins again, and whatever happens, no partition stays locked.
    """
    try:
        with locks.release_all():
            yield
    except locks.ConcurrentWriteError as error:
        raise dg.RetryRequested(max_retries=MAX_CONFLICT_RETRIES) from error
    except VisdivError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except OSError as error:
        if not is_of_object_storage(error):
            raise
        # While a table is streamed, it is an error of whoever reads it.
        raise dg.Failure(description=str(read_error("VISDIV_DATA", error)), allow_retries=False) from None


def check_spec(
    name: str,
    *,
    asset: str,
    description: str,
    blocking: bool = False,
    partitions_def: dg.PartitionsDefinition | None = None,
) -> dg.AssetCheckSpec:
    """A check that an asset reports itself; a blocking one that fails stops what follows."""
    with warnings.catch_warnings():
        # Without partitions a check shows the latest partition only, and one of 185 that failed would not be seen.
        warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions_def
        )


def column_schema(schema: pa.Schema) -> dict[str, dg.TableSchema]:
    """Metadata of an asset that tells the UI its columns."""
    return {"dagster/column_schema": _table_schema(schema)}


def table_preview(table: pa.Table) -> dg.TableMetadataValue:
    """The first rows of a table, for the UI; more would make its pages slow."""
    records = [dg.TableRecord(record) for record in table.slice(0, ROWS_SHOWN).to_pylist()]
    return dg.MetadataValue.table(records, schema=_table_schema(table.schema))


def image_markdown(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """An image for the UI, within the text that names it."""
    return dg.MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})")


def _table_schema(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in schema])


def materialized(
    manifest: Manifest, metadata: Mapping[str, Any], checks: list[dg.AssetCheckResult] | None = None
) -> dg.MaterializeResult:
    """The result of an asset that has committed a manifest; its data version is the digest of the content."""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(manifest.digest),
        metadata={**metadata, **column_lineage(manifest.table), "units": len(manifest.units)},
        check_results=checks or [],
    )


def present_partitions(store: Lake, source: Source) -> Lake:
    """The lake with just the subsets and benchmarks that the source still holds.

    Of the others no image can be had any more; what is stored of them goes with `visdiv gc --vanished`.
    """
    subsets, benchmarks = {*source.subsets(), CORPUS_PARTITION}, set(source.benchmarks())
    of_benchmarks = {*vars(CONTENT[Kind.BENCHMARK]).values(), LakeTable.BENCHMARK_TEXTS, LakeTable.LEAK_REPORTS}
    return store.only(lambda table, name: name in (benchmarks if table in of_benchmarks else subsets))


def current_embeddings(store: Lake, images: Manifest, table: str = CONTENT[Kind.SUBSET].embeddings) -> Manifest:
    """The embeddings of a subset, which must have been made from the present list of its images.

    Raises:
        VisdivError: there are none, or the images were listed again since.
    """
    embeddings = store.require(table, images.partition)
    if embeddings.inputs[images.table] != images.digest:
        raise VisdivError(
            f"{embeddings.table} of {images.partition!r} is older than its {images.table}: materialize "
            f"{embeddings.table} again"
        )
    return embeddings


def listed_version(source: Source, images: Manifest, kind: Kind = Kind.SUBSET) -> Version:
    """The present state of a subset or benchmark, which must be the one whose images were listed.

    Raises:
        VisdivError: it has changed since.
    """
    version = version_of(source, kind, images.partition, known=images.facts["digests"])
    if version.revision != images.source_revision:
        raise VisdivError(
            f"{images.partition!r} has changed since {images.table} listed it: materialize {images.table} again"
        )
    return version


def read_pairs(store: Lake, manifest: Manifest, schema: pa.Schema) -> pa.Table:
    """All pairs of a partition; an empty table of the schema where it has none."""
    return store.read(manifest, "pairs") if manifest.files("pairs") else schema.empty_table()


def readable_positions(store: Lake, images: Manifest) -> pa.Table:
    """The readable positions of a subset or benchmark, in order: row, image_index, image_id, low_information."""
    columns = ["row", "image_index", "image_id", "low_information"]
    return store.read(images, columns=columns, where=pc.field("status") == "ok")


def comparable_benchmarks(store: Lake, embeddings: Manifest) -> dict[str, tuple[Manifest, Manifest]]:
    """The images and embeddings of every benchmark that is materialized, by name.

    Raises:
        VisdivError: one was embedded by another model than the subset.
    """
    names = store.partitions(LakeTable.BENCHMARK_EMBEDDINGS)
    found = {
        name: (store.require(LakeTable.BENCHMARK_IMAGES, name), store.require(LakeTable.BENCHMARK_EMBEDDINGS, name))
        for name in names
    }
    require_one_model([embeddings, *(of_benchmark for _, of_benchmark in found.values())])
    return found


def digests_by_partition(parts: Iterable[Manifest]) -> dict[str, str]:
    """What a unit of work that is made from several partitions depends on."""
    return {f"{part.partition} {part.table}": part.digest for part in parts}


def make_locator(store: Lake, images: Manifest, nearest: Manifest) -> Callable[[pa.Table, Manifest], pa.Table]:
    """A function that says where in a benchmark the images of a subset's pairs are; see `contamination.locate_pairs`.

    It takes pairs with the columns of `LEAK_SCHEMA` and the manifest of the benchmark's images. What it needs of the
    subset is read once.
    """
    flags = readable_positions(store, images).select(["image_id", "low_information"])
    background = store.read(nearest, "counts", columns=["image_id", "background_similarity"])

    def locate(pairs: pa.Table, listed: Manifest) -> pa.Table:
        return locate_pairs(pairs, listed.partition, readable_positions(store, listed), flags, background)

    return locate
