"""The commits of the pass over a source, with the metadata and the results of the checks that the UI shows."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.embedding.regions import REGIONS
from visdiv_assets.embedding.shards import vector_defects
from visdiv_assets.errors import SourceError
from visdiv_assets.orchestration.assets.stage import check_defects, digests_by_table, materialized
from visdiv_assets.orchestration.work.products import ImageProduct, Vectors
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.catalog import published
from visdiv_assets.sources.schema import UNREAD
from visdiv_assets.sources.versions import Version
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite

#: Metadata of the turns: how many texts and ratings cannot be read.
NOT_READ = "texts_or_ratings_not_read"


def _columns_not_used(source: Source, kind: Kind, name: str) -> dict[str, str]:
    """Return the columns of a subset's first file that are not read, each with the reason if its name is a usual one.

    Of a benchmark there are none: all its texts are compared.
    """
    if kind is Kind.BENCHMARK:
        return {}
    taken = source.columns_taken(kind, name)
    return {**dict.fromkeys(taken.unused, ""), **dict(taken.wrong)}


def commit_images(
    lake: Lake,
    write: PartitionWrite,
    kind: Kind,
    version: Version,
    observed: str,
    source: Source,
    unreadable_limit: float,
) -> tuple[Manifest, dg.MaterializeResult]:
    """Commit a list of images; return its manifest and the result of the asset."""
    draft = write.draft()
    not_used = _columns_not_used(source, kind, draft.partition)
    positions = lake.read(draft, columns=["row", "image_id", "status"])
    readable = positions.filter(pc.equal(positions["status"], "ok"))
    manifest = write.commit(
        rows=version.rows,
        images=positions.num_rows,
        images_unique=pc.count_distinct(readable["image_id"]).as_py(),
        images_unreadable=positions.num_rows - readable.num_rows,
        digests=version.known_digests(),
        files=version.files,
        observed_version=observed,
        columns_not_used=dict(not_used),
    )
    facts = manifest.facts
    share = facts["images_unreadable"] / max(facts["images"], 1)
    last_row = pc.max(positions["row"]).as_py()
    result = materialized(
        manifest,
        {
            "dagster/partition_row_count": facts["images"],
            **{key: facts[key] for key in ("rows", "images", "images_unique", "images_unreadable")},
            "statuses": {pair["values"]: pair["counts"] for pair in positions["status"].value_counts().to_pylist()},
            "units_reused": write.reused,
            "source_revision": version.revision,
            **({"columns_not_used": ", ".join(not_used)} if not_used else {}),
            **(_compare_published(manifest.partition, source.uri, facts) if kind is Kind.SUBSET else {}),
        },
        [
            dg.AssetCheckResult(
                check_name="unreadable_share",
                passed=share <= unreadable_limit,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"share": share, "limit": unreadable_limit},
            ),
            dg.AssetCheckResult(
                check_name="all_rows_read",
                passed=last_row is None or last_row < version.rows,
                metadata={"rows": version.rows},
            ),
        ],
    )
    return manifest, result


def commit_texts(lake: Lake, write: PartitionWrite, images: Manifest, version: Version) -> dg.MaterializeResult:
    """Commit the texts of the rows whose images are listed: turns of a subset, strings of a benchmark."""
    draft = write.draft()
    unread = pc.sum(lake.read(draft, "rows", columns=[UNREAD])[UNREAD]).as_py() or 0 if draft.files("turns") else None
    manifest = write.commit(inputs=digests_by_table(images), **({} if unread is None else {UNREAD: unread}))
    rows = manifest.rows("rows")
    of_turns = {"turns": manifest.rows("turns")} if manifest.files("turns") else {}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": of_turns.get("turns", rows),
            **of_turns,
            **({} if unread is None else {NOT_READ: unread}),
            "rows": rows,
            "units_reused": write.reused,
        },
        [
            dg.AssetCheckResult(
                check_name="every_row_counted",
                passed=rows == version.rows,
                metadata={"rows": rows, "expected": version.rows},
            )
        ],
    )


def commit_blobs(product: ImageProduct, images: Manifest) -> dg.MaterializeResult:
    """Commit thumbnails or local features of the listed images."""
    manifest = product.write.commit(inputs=digests_by_table(images))
    stored, expected = manifest.rows("ids"), images.facts["images_unique"] if product.wanted else 0
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": stored,
            "images_made": product.made,
            "images_reused": stored - product.made,
            "units_reused": product.write.reused,
            "bytes": sum(file.size_bytes for file in manifest.files(product.name)),
        },
        [
            dg.AssetCheckResult(
                check_name="one_per_image", passed=stored == expected, metadata={"images": stored, "expected": expected}
            )
        ],
    )


def commit_vectors(lake: Lake, product: Vectors, images: Manifest, seconds: float) -> dg.MaterializeResult:
    """Commit the vectors of the listed images; the pass that made them took some seconds."""
    model = product.model
    manifest = product.write.commit(inputs=digests_by_table(images), dimension=model.dimension)
    stored = lake.array(manifest, "vectors")
    expected = images.facts["images_unique"] if product.wanted else 0
    in_regions = product.name in {tables.regions for tables in CONTENT.values()}
    defects = vector_defects(stored.blocks(), parts=REGIONS if in_regions else 1)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": len(stored),
            "images_embedded": product.made,
            "images_reused": len(stored) - product.made,
            "units_reused": product.write.reused,
            "seconds": seconds,
            **({"images_per_second": product.made / seconds} if product.made else {}),
            "model_id": model.model_id,
            "device": model.device,
        },
        [
            dg.AssetCheckResult(
                check_name="one_vector_per_image",
                passed=len(stored) == manifest.rows("ids") == expected,
                metadata={"vectors": len(stored), "image_ids": manifest.rows("ids"), "images": expected},
            ),
            check_defects("finite_unit_length", defects),
            dg.AssetCheckResult(
                check_name="one_model",
                passed=(manifest.model_id or "") == model.model_id and stored.shape[1] == model.dimension,
                metadata={"stored": str(manifest.model_id), "set": model.model_id},
            ),
        ],
    )


def require_images(kind: Kind, images: Manifest) -> None:
    """Raise a SourceError for a benchmark without a readable image."""
    if kind is Kind.BENCHMARK and not images.facts["images_unique"]:
        raise SourceError(
            f"benchmark {images.partition!r} has no readable image: fix its files; the statuses in the metadata of "
            "benchmark_images give the reasons"
        )


def _compare_published(subset: str, source: str, facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that FineVision's authors published for a subset of it, and the differences to them."""
    expected = published(subset, source)
    if expected is None:
        return {}
    return {
        "published_rows": expected.samples,
        "published_images": expected.images,
        "rows_beyond_published": facts["rows"] - expected.samples,
        "images_beyond_published": facts["images"] - expected.images,
    }
