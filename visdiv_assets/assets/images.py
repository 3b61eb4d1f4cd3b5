"""What is there: every image position of a subset."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.assets.common import column_schema, materialized, user_errors
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, list_images
from visdiv_assets.partitions import subset_partitions
from visdiv_assets.progress import progress
from visdiv_assets.resources import DecoderResource, LakeResource, SourceResource
from visdiv_assets.sources import Kind
from visdiv_assets.sources.versions import version_of

CODE_VERSION = "1"


@dg.asset(
    partitions_def=subset_partitions,
    group_name="images",
    kinds={"parquet", "pillow"},
    code_version=CODE_VERSION,
    metadata=column_schema(IMAGES_SCHEMA),
    check_specs=[
        dg.AssetCheckSpec(
            "unreadable_share",
            asset="subset_images",
            description="The share of pictures that cannot be read is below VISDIV_UNREADABLE_LIMIT (warns).",
        ),
        dg.AssetCheckSpec(
            "all_rows_read",
            asset="subset_images",
            blocking=True,
            description="No position lies outside the rows that the subset's files announce.",
        ),
    ],
)
def subset_images(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, decoder: DecoderResource
) -> dg.MaterializeResult:
    """Every image position of a subset: what the picture is, or why it cannot be read.

    Each picture is hashed and decoded in full, so a truncated file is found here. Pictures that cannot be read are
    recorded with their reason and stop nothing. One file of the subset is one unit of work: a run that is started
    again, or an unchanged file, costs nothing.
    """
    subset = context.partition_key
    with user_errors():
        opened, store = source.open(), lake.open()
        previous = store.manifest("subset_images", subset)
        version = version_of(opened, Kind.SUBSET, subset, known=previous.facts["digests"] if previous else None)
        write = store.write(
            "subset_images",
            subset,
            code_version=CODE_VERSION,
            inputs={shard.shard.name: shard.digest for shard in version.shards},
            settings={"max_pixels": decoder.max_pixels},
            source_revision=version.revision,
            run_id=context.run_id,
        )
        with progress(f"listing {subset}", version.rows, "row") as advance:
            for shard in version.shards:
                name = shard.shard.name
                inputs = {"shard": shard.digest, "first_row": str(shard.first_row)}
                if write.reuse(name, inputs):
                    advance(shard.shard.rows)
                    continue
                with write.add(name, inputs) as unit:
                    batches = list_images(
                        opened.batches(Kind.SUBSET, subset, shard.shard, columns=["images"]),
                        first_row=shard.first_row,
                        threads=decoder.thread_count,
                        max_pixels=decoder.max_pixels,
                        progress=advance,
                    )
                    unit.table("rows", batches, IMAGES_SCHEMA)
        table = store.read(write.draft(), columns=["row", "image_id", "status"])
        readable = table.filter(pc.equal(table["status"], "ok"))
        statuses = {pair["values"]: pair["counts"] for pair in table["status"].value_counts().to_pylist()}
        unreadable = table.num_rows - readable.num_rows
        manifest = write.commit(
            rows=version.rows,
            images=table.num_rows,
            images_unique=pc.count_distinct(readable["image_id"]).as_py(),
            images_unreadable=unreadable,
            digests=version.known_digests(),
        )
    share = unreadable / max(table.num_rows, 1)
    last_row = pc.max(table["row"]).as_py()
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": table.num_rows,
            "rows": version.rows,
            "images": table.num_rows,
            "images_unique": manifest.facts["images_unique"],
            "images_unreadable": unreadable,
            "statuses": statuses,
            "units_reused": write.reused,
            "source_revision": version.revision,
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
