"""The images of subsets and benchmarks: every position, with its status and measures."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, list_images
from visdiv_assets.orchestration.assets.source_files import observation
from visdiv_assets.orchestration.assets.stage import check_spec, column_schema, materialized, stage
from visdiv_assets.orchestration.partitions import benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import DecoderResource, LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.sources.catalog import published
from visdiv_assets.sources.versions import version_of

CODE_VERSION = "2"


def _check_specs(asset: str, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    return [
        check_spec(
            "unreadable_share",
            asset=asset,
            partitions_def=partitions,
            description="The share of unreadable images is at most VISDIV_UNREADABLE_LIMIT (warns).",
        ),
        check_spec(
            "all_rows_read",
            asset=asset,
            partitions_def=partitions,
            blocking=True,
            description="Every position is within the number of rows that the metadata of the files states.",
        ),
    ]


@dg.asset(
    partitions_def=subset_partitions,
    deps=["subset_files"],
    group_name="3_images",
    kinds={"parquet", "pillow"},
    code_version=CODE_VERSION,
    metadata=column_schema(IMAGES_SCHEMA),
    check_specs=_check_specs(LakeTable.SUBSET_IMAGES, subset_partitions),
)
def subset_images(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, decoder: DecoderResource
) -> dg.MaterializeResult:
    """Every image position of a subset: identity, format, size, and the reason if the image cannot be read.

    Each image is hashed and decoded in full, so truncated files are found here. Unreadable images are recorded with
    their reason and do not stop the run. One file of the subset is one unit of work: files that have not changed, or
    that an interrupted run finished, are not read again.
    """
    return _list_images(context, Kind.SUBSET, source, lake, decoder)


@dg.asset(
    partitions_def=benchmark_partitions,
    deps=["benchmark_files"],
    group_name="2_benchmarks",
    kinds={"parquet", "pillow"},
    code_version=CODE_VERSION,
    metadata=column_schema(IMAGES_SCHEMA),
    check_specs=_check_specs(LakeTable.BENCHMARK_IMAGES, benchmark_partitions),
)
def benchmark_images(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, decoder: DecoderResource
) -> dg.MaterializeResult:
    """Every image position of a benchmark's test set, decoded exactly as the images of subsets are.

    EXIF orientation is applied here too; otherwise copies of an image that is stored rotated would not be found.
    """
    return _list_images(context, Kind.BENCHMARK, source, lake, decoder)


def _list_images(
    context: dg.AssetExecutionContext,
    kind: Kind,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
) -> dg.MaterializeResult:
    name, table = context.partition_key, CONTENT[kind].images
    with stage(context, lake, table, CODE_VERSION) as run:
        opened = source.open()
        previous = run.lake.manifest(table, name)
        # Before the files are read: a file that changes meanwhile must show as changed.
        observed = opened.observed_version(kind, name)
        version = version_of(opened, kind, name, known=previous.facts["digests"] if previous else None)
        write = run.write(
            {shard.shard.name: shard.digest for shard in version.shards},
            settings=asdict(decoder.limits),
            source_revision=version.revision,
        )
        with progress(f"listing {name}", version.rows, "row") as advance:
            for shard in version.shards:
                inputs = {"shard": shard.digest, "first_row": str(shard.first_row)}
                if write.reuse(shard.shard.name, inputs):
                    advance(shard.shard.rows)
                    continue
                with write.add(shard.shard.name, inputs) as unit:
                    listed = list_images(
                        opened.batches(kind, name, shard.shard, columns=["images"]),
                        first_row=shard.first_row,
                        threads=decoder.thread_count,
                        limits=decoder.limits,
                        progress=advance,
                    )
                    unit.table("rows", listed, IMAGES_SCHEMA)
        positions = run.lake.read(write.draft(), columns=["row", "image_id", "status"])
        readable = positions.filter(pc.equal(positions["status"], "ok"))
        manifest = write.commit(
            rows=version.rows,
            images=positions.num_rows,
            images_unique=pc.count_distinct(readable["image_id"]).as_py(),
            images_unreadable=positions.num_rows - readable.num_rows,
            digests=version.known_digests(),
            observed_version=observed,
        )
    context.log_event(observation(kind, name, observed))
    facts = manifest.facts
    share = facts["images_unreadable"] / max(facts["images"], 1)
    last_row = pc.max(positions["row"]).as_py()
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": facts["images"],
            **{key: facts[key] for key in ("rows", "images", "images_unique", "images_unreadable")},
            "statuses": {pair["values"]: pair["counts"] for pair in positions["status"].value_counts().to_pylist()},
            "units_reused": write.reused,
            "source_revision": version.revision,
            **(_compare_published(name, facts) if kind is Kind.SUBSET else {}),
        },
        [
            dg.AssetCheckResult(
                check_name="unreadable_share",
                passed=share <= decoder.unreadable_limit,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"share": share, "limit": decoder.unreadable_limit},
            ),
            dg.AssetCheckResult(
                check_name="all_rows_read",
                passed=last_row is None or last_row < version.rows,
                metadata={"rows": version.rows},
            ),
        ],
    )


def _compare_published(subset: str, facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that FineVision's authors published for a subset of this name, and the differences to them."""
    expected = published(subset)
    if expected is None:
        return {}
    return {
        "published_rows": expected.samples,
        "published_images": expected.images,
        "rows_beyond_published": facts["rows"] - expected.samples,
        "images_beyond_published": facts["images"] - expected.images,
    }
