"""What all asset modules share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pyarrow as pa

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import Version, version_of
from visdiv_assets.storage.manifest import Manifest


@contextmanager
def user_errors() -> Iterator[None]:
    """Show what a user can mend as one line instead of a stack trace, and do not retry it."""
    try:
        yield
    except VisdivError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


def column_schema(schema: pa.Schema) -> dict[str, dg.TableSchema]:
    """Metadata of an asset that tells the UI its columns."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def materialized(
    manifest: Manifest, metadata: Mapping[str, Any], checks: list[dg.AssetCheckResult] | None = None
) -> dg.MaterializeResult:
    """The result of an asset that has committed a manifest; its data version is the digest of the content."""
    return dg.MaterializeResult(
        data_version=dg.DataVersion(manifest.digest),
        metadata={**metadata, "units": len(manifest.units)},
        check_results=checks or [],
    )


def listed_version(source: Source, images: Manifest) -> Version:
    """The present state of a subset, which must be the one whose images were listed.

    Raises:
        VisdivError: the subset has changed since.
    """
    version = version_of(source, Kind.SUBSET, images.partition, known=images.facts["digests"])
    if version.revision != images.source_revision:
        raise VisdivError(
            f"subset {images.partition!r} has changed since subset_images listed it: materialise subset_images again"
        )
    return version
