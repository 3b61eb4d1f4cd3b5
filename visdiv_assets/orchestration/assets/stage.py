"""The parts that all assets share: a stage that writes one table of the lake, its errors, and what the UI shows."""

import base64
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa

from visdiv_assets.corpus import access
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.errors import NotMaterializedError, VisdivError
from visdiv_assets.orchestration.presentation import column_lineage
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import heading
from visdiv_assets.storage import locks
from visdiv_assets.storage.error_messages import is_of_object_storage, read_error
from visdiv_assets.storage.integrity import removing_damage
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite

ROWS_SHOWN = 20

#: Retries of an asset whose partition another run wrote from other inputs meanwhile.
MAX_CONFLICT_RETRIES = 20


@contextmanager
def user_errors() -> Iterator[None]:
    """Show an error that a user can fix as one line instead of a stack trace, and do not retry it.

    The asset is retried if another run committed its partition first. No partition stays locked, whatever happens.
    """
    try:
        with locks.release_all():
            yield
    except locks.ConcurrentWriteError as error:
        raise dg.RetryRequested(max_retries=MAX_CONFLICT_RETRIES) from error
    except NotMaterializedError as error:
        advice = remedy(error.table, error.partition)
        raise dg.Failure(description=f"{error}: {advice}", allow_retries=False) from None
    except VisdivError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except OSError as error:
        if not is_of_object_storage(error):
            raise
        # Errors of the object store while a table is streamed reach the reader as they are.
        raise dg.Failure(description=str(read_error("VISDIV_DATA", error)), allow_retries=False) from None


class Stage:
    """One run of an asset that writes a partition of a table.

    Attributes:
        lake: where the stage reads and writes.
        table: the table that it writes.
        partition: the run's partition; of a table about all subsets, `CORPUS_PARTITION`.
    """

    def __init__(self, lake: Lake, table: str, partition: str, code_version: str, run_id: str) -> None:
        """Use `stage`."""
        self.lake = lake
        self.table = table
        self.partition = partition
        self._code_version = code_version
        self._run_id = run_id

    def beside(self, table: str, code_version: str) -> "Stage":
        """Return a stage of the same run that writes the same partition of another table."""
        return Stage(self.lake, table, self.partition, code_version, self._run_id)

    def require(self, table: str, partition: str | None = None) -> Manifest:
        """Return the manifest of a partition of another table, by default of the run's partition.

        Raises:
            NotMaterializedError: it was never materialized.
        """
        return self.lake.require(table, self.partition if partition is None else partition)

    def current_embeddings(self, images: Manifest, table: str = LakeTable.SSCD_EMBEDDINGS) -> Manifest:
        """Return the embeddings that were made from the given list of images; see `corpus.access`."""
        return access.current_embeddings(self.lake, images, table)

    def current_turns(self) -> Manifest:
        """Return the turns of the run's subset; they must be those of its present list of images.

        Raises:
            NotMaterializedError: they were never stored.
            StaleError: the images were listed again after that.
        """
        return access.current_turns(self.lake, self.partition)

    def write(
        self,
        inputs: Mapping[str, str],
        *,
        model_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
        source_revision: str | None = None,
        partition: str | None = None,
    ) -> PartitionWrite:
        """Begin a new state of the partition; see `Lake.write`.

        Args:
            inputs: digests of what the partition is made from, by name.
            model_id: model of the vectors that it holds or is derived from.
            settings: settings that its content depends on.
            source_revision: version of the subset's rows.
            partition: another partition than the run's.
        """
        return self.lake.write(
            self.table,
            self.partition if partition is None else partition,
            code_version=self._code_version,
            inputs=inputs,
            model_id=model_id,
            settings=settings,
            source_revision=source_revision,
            run_id=self._run_id,
        )


@contextmanager
def stage(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    table: str,
    code_version: str,
    *,
    present_in: SourceResource | None = None,
) -> Iterator[Stage]:
    """Open the lake for the asset that writes a table, with errors shown as by `user_errors`.

    Args:
        context: of the run.
        lake: the lake.
        table: the table that the asset writes.
        code_version: of the code that the table's content depends on.
        present_in: a source; subsets and benchmarks that it no longer holds are hidden from the stage.
    """
    with user_errors():
        opened = lake.open()
        if present_in is not None:
            opened = access.present_partitions(opened, present_in.open())
        partition = context.partition_key if context.has_partition_key else CORPUS_PARTITION
        with heading(f"{table} of {partition}"), removing_damage(opened):
            yield Stage(opened, table, partition, code_version, context.run.run_id)


def digests_by_table(*manifests: Manifest | None) -> dict[str, str]:
    """Return the digests of manifests by table; None is skipped."""
    return {manifest.table: manifest.digest for manifest in manifests if manifest}


def materialized(
    manifest: Manifest, metadata: Mapping[str, Any], checks: list[dg.AssetCheckResult] | None = None
) -> dg.MaterializeResult:
    """Return the result of an asset that has committed a manifest; its data version is the digest of the content."""
    key = dg.AssetKey(manifest.table)
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(manifest.digest),
        metadata={**metadata, **column_lineage(manifest.table), "units": len(manifest.units)},
        # A step that makes several assets has to say which one a result is about.
        check_results=[check._replace(asset_key=key) for check in checks or []],
    )


def check_spec(
    name: str,
    *,
    asset: str,
    description: str,
    blocking: bool = False,
    partitions_def: dg.PartitionsDefinition | None = None,
) -> dg.AssetCheckSpec:
    """Return a check that an asset reports itself; if a blocking one fails, downstream assets do not run."""
    with warnings.catch_warnings():
        # Without partitions the UI shows only the latest result, and would hide one failed subset of 185.
        warnings.filterwarnings("ignore", "Specifying a partitions_def on an AssetCheckSpec", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions_def
        )


def check_defects(name: str, defects: Mapping[str, int]) -> dg.AssetCheckResult:
    """Return the result of a check that fails if one of the counted defects occurs."""
    return dg.AssetCheckResult(check_name=name, passed=not any(defects.values()), metadata=dict(defects))


def column_schema(schema: pa.Schema) -> dict[str, dg.TableSchema]:
    """Return metadata of an asset from which the UI shows its columns."""
    return {"dagster/column_schema": _table_schema(schema)}


def table_preview(table: pa.Table) -> dg.TableMetadataValue:
    """Return the first rows of a table for the UI; more would slow its pages down."""
    records = [dg.TableRecord(record) for record in table.slice(0, ROWS_SHOWN).to_pylist()]
    return dg.MetadataValue.table(records, schema=_table_schema(table.schema))


def image_markdown(name: str, png: bytes) -> dg.MarkdownMetadataValue:
    """Return a PNG image for the UI, embedded in Markdown, with its name as alternative text."""
    return sheet_markdown(name, f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}")


def sheet_markdown(name: str, data_uri: str) -> dg.MarkdownMetadataValue:
    """Return an image given as a data URI for the UI, with its name as alternative text."""
    return dg.MetadataValue.md(f"![{name}]({data_uri})")


def _table_schema(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in schema])
