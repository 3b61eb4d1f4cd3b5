"""What is there: every image position of a subset or benchmark."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, list_images
from visdiv_assets.orchestration.assets.common import CONTENT, check_spec, column_schema, materialized, user_errors
from visdiv_assets.orchestration.assets.source_files import observation
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
            description="The share of images that cannot be read is at most VISDIV_UNREADABLE_LIMIT (warns).",
        ),
        check_spec(
            "all_rows_read",
            asset=asset,
            partitions_def=partitions,
            blocking=True,
            description="No position lies outside the rows that the files announce.",
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
    """Every image position of a subset: what the image is, or why it cannot be read.

    Each image is hashed and decoded in full, so a truncated file is found here. Images that cannot be read are
    recorded with their reason and stop nothing. One file of the subset is one unit of work: a run that is started
    again, or an unchanged file, costs nothing.
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
    """Every image position of a benchmark's test set, decoded exactly as the subsets' images are.

    EXIF orientation is applied here too: a benchmark image that lies on its side would not find its copy.
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
    with user_errors():
        opened, store = source.open(), lake.open()
        previous = store.manifest(table, name)
        # Before the files are read: what changes meanwhile must show as changed.
        observed = opened.observed_version(kind, name)
        version = version_of(opened, kind, name, known=previous.facts["digests"] if previous else None)
        write = store.write(
            table,
            name,
            code_version=CODE_VERSION,
            inputs={shard.shard.name: shard.digest for shard in version.shards},
            settings=asdict(decoder.limits),
            source_revision=version.revision,
            run_id=context.run.run_id,
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
        positions = store.read(write.draft(), columns=["row", "image_id", "status"])
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
            **(_beside_published(name, facts) if kind is Kind.SUBSET else {}),
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


def _beside_published(subset: str, facts: Mapping[str, Any]) -> dict[str, int]:
    """What FineVision's authors published of a subset of this name, and by how much what is there differs."""
    theirs = published(subset)
    if theirs is None:
        return {}
    return {
        "published_rows": theirs.samples,
        "published_images": theirs.images,
        "rows_beyond_published": facts["rows"] - theirs.samples,
        "images_beyond_published": facts["images"] - theirs.images,
    }
