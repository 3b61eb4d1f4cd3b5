"""SSCD embeddings of the images of subsets and benchmarks."""

import hashlib
import time

import dagster as dg
import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.access import CONTENT, first_positions, listed_version
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding.shards import IDS_SCHEMA, PositionVectors, positions_between, vector_defects
from visdiv_assets.errors import SourceError
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
)
from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.partitions import benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    SourceResource,
    SscdResource,
)
from visdiv_assets.orchestration.work.embed import Describe, Description, EmbedShards, Load, ShardUnit
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.storage.partition_write import UnitWrite

CODE_VERSION = "1"


def vector_checks(asset: str, partitions: dg.PartitionsDefinition, *, blocking: bool = True) -> list[dg.AssetCheckSpec]:
    """Return the checks of an asset that `embed_images_of` makes."""
    return [
        check_spec(
            "one_vector_per_image",
            asset=asset,
            partitions_def=partitions,
            blocking=blocking,
            description="The numbers of vectors, image_ids and distinct readable images are equal.",
        ),
        check_spec(
            "finite_unit_length",
            asset=asset,
            partitions_def=partitions,
            blocking=blocking,
            description="Every vector is finite and has length 1 (within 0.001, float16 storage).",
        ),
        check_spec(
            "one_model",
            asset=asset,
            partitions_def=partitions,
            blocking=blocking,
            description="The configured model made all stored vectors.",
        ),
    ]


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES],
    group_name="4_embeddings",
    kinds={"numpy", "onnx", "pytorch"},
    pool="gpu",
    code_version=CODE_VERSION,
    metadata=column_schema(IDS_SCHEMA),
    check_specs=vector_checks(LakeTable.SSCD_EMBEDDINGS, subset_partitions),
)
def sscd_embeddings(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    sscd: SscdResource,
) -> dg.MaterializeResult:
    """The SSCD embedding of every distinct readable image of a subset: float16, unit length, with its image_id.

    Images are streamed from the source, decoded in threads, resized to 320 x 320 and embedded in batches; an image
    that occurs several times is embedded once. One file of the subset is one unit of work, so an interrupted run
    resumes after the last finished file. Vectors of images that were embedded before are reused.
    """
    table = CONTENT[Kind.SUBSET].embeddings
    return embed_images_of(context, Kind.SUBSET, table, source, lake, decoder, engine.open(), sscd.loader())


@dg.asset(
    partitions_def=benchmark_partitions,
    deps=[LakeTable.BENCHMARK_IMAGES],
    group_name="2_benchmarks",
    kinds={"numpy", "onnx", "pytorch"},
    pool="gpu",
    code_version=CODE_VERSION,
    metadata=column_schema(IDS_SCHEMA),
    check_specs=vector_checks(LakeTable.BENCHMARK_EMBEDDINGS, benchmark_partitions),
)
def benchmark_embeddings(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    sscd: SscdResource,
) -> dg.MaterializeResult:
    """The SSCD embedding of every distinct readable image of a benchmark's test set, made as those of subsets.

    A benchmark without any readable image is an error: it would look free of contamination.
    """
    table = CONTENT[Kind.BENCHMARK].embeddings
    return embed_images_of(context, Kind.BENCHMARK, table, source, lake, decoder, engine.open(), sscd.loader())


def describe(engine: Engine, load: Load) -> Description:
    """Return the description of a model, loaded where it will run."""
    ((_, description),) = engine.map(Describe(load), [None])
    return description


def embed_images_of(
    context: dg.AssetExecutionContext,
    kind: Kind,
    table: str,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: Engine,
    load: Load,
) -> dg.MaterializeResult:
    """Embed the images of a run's partition into a table of the lake: vectors, ids, and norms if the model has them."""
    name, tables = context.partition_key, CONTENT[kind]
    with stage(context, lake, table, CODE_VERSION) as run:
        images = run.require(tables.images)
        version = listed_version(source.open(), images, kind)
        positions = first_positions(run.lake.read(images, columns=["row", "image_index", "image_id", "status"]))
        if kind is Kind.BENCHMARK and not positions.num_rows:
            raise SourceError(
                f"benchmark {name!r} has no readable image: fix its files; the statuses in the metadata of "
                "benchmark_images give the reasons"
            )
        embedder = describe(engine, load)
        earlier = run.lake.manifest(table, name)
        write = run.write(digests_by_table(images), model_id=embedder.model_id, source_revision=version.revision)
        work = EmbedShards(
            source.in_each_process(), lake.in_each_process(), kind, name, earlier, load, limits=decoder.limits
        )
        planned = []
        for shard in version.shards:
            wanted = positions_between(positions, shard.first_row, shard.first_row + shard.shard.rows)
            inputs = {"images": hashlib.sha256("".join(wanted["image_id"].to_pylist()).encode()).hexdigest()}
            # A copy: pickling a slice would send the whole table to another process.
            copied = wanted.take(pa.array(np.arange(wanted.num_rows)))
            planned.append(Planned(shard.shard.name, inputs, ShardUnit(shard.shard, shard.first_row, copied)))
        embedded, begin = 0, time.monotonic()

        def keep(unit: UnitWrite, shard: ShardUnit, made: PositionVectors) -> None:
            nonlocal embedded
            embedded += made.computed
            unit.array("vectors", made.vectors)
            if made.norms is not None:
                unit.array("norms", made.norms)
            unit.table("ids", shard.positions.select(["image_id"]), IDS_SCHEMA)

        with progress(f"embedding {name}", positions.num_rows, "image") as advance:
            make_units(write, engine, work, planned, keep, advance)
        seconds = time.monotonic() - begin
        manifest = write.commit(dimension=embedder.dimension)
        stored = run.lake.array(manifest, "vectors")
        defects = vector_defects(stored.blocks())
    rate = {"images_per_second": embedded / seconds} if embedded else {}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": len(stored),
            "images_embedded": embedded,
            "images_reused": len(stored) - embedded,
            "units_reused": write.reused,
            "seconds": seconds,
            **rate,
            "model_id": embedder.model_id,
            "device": embedder.device,
        },
        [
            dg.AssetCheckResult(
                check_name="one_vector_per_image",
                passed=len(stored) == manifest.rows("ids") == images.facts["images_unique"],
                metadata={
                    "vectors": len(stored),
                    "image_ids": manifest.rows("ids"),
                    "images": images.facts["images_unique"],
                },
            ),
            check_defects("finite_unit_length", defects),
            dg.AssetCheckResult(
                check_name="one_model",
                passed=manifest.model_id == embedder.model_id and stored.shape[1] == embedder.dimension,
                metadata={"stored": str(manifest.model_id), "set": embedder.model_id},
            ),
        ],
    )
