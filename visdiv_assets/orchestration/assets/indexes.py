"""FAISS indexes over the vectors of a subset."""

import dagster as dg
import numpy as np

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.orchestration.assets.stage import check_spec, digests_by_table, materialized, stage
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import LakeResource
from visdiv_assets.vectors.faiss_index import build_index, nearest, read_index, write_index

CODE_VERSION = "1"


def index_checks(asset: str) -> list[dg.AssetCheckSpec]:
    """Return the checks of an asset that `build_index_of` makes."""
    return [
        check_spec(
            "every_vector_finds_itself",
            asset=asset,
            partitions_def=subset_partitions,
            blocking=True,
            description="The saved index holds every vector, and each of a sample of vectors finds itself.",
        )
    ]


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SSCD_EMBEDDINGS],
    group_name="4_embeddings",
    kinds={"faiss"},
    code_version=CODE_VERSION,
    check_specs=index_checks(LakeTable.SSCD_INDEX),
)
def sscd_index(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """A FAISS index over a subset's SSCD embeddings for queries with an image; exact, by inner product.

    It holds the stored float16 values. Row i of the index is row i of the image_ids stored with it.
    """
    return build_index_of(context, lake, LakeTable.SSCD_INDEX, LakeTable.SSCD_EMBEDDINGS)


def build_index_of(
    context: dg.AssetExecutionContext, lake: LakeResource, table: str, indexed: str
) -> dg.MaterializeResult:
    """Build the index of a run's partition over the vectors of one table, and write it to another."""
    with stage(context, lake, table, CODE_VERSION) as run:
        embeddings = run.require(indexed)
        inputs = digests_by_table(embeddings)
        write = run.write(inputs, model_id=embeddings.model_id, source_revision=embeddings.source_revision)
        vectors = run.lake.array(embeddings, "vectors")
        if not write.reuse("index", inputs):
            with write.add("index", inputs) as unit:
                index = build_index(vectors)
                unit.file("index", "faiss", lambda stream: write_index(index, stream))
                unit.table("ids", run.lake.read(embeddings, "ids"), IDS_SCHEMA)
        manifest = write.commit(vectors=len(vectors))
        with run.lake.open_file(manifest, "index") as stream:
            saved = read_index(stream)
    sample = vectors[np.arange(0, len(vectors), max(len(vectors) // 100, 1))]
    worst = float(nearest(saved, sample, 1)[0].min()) if len(sample) else 1.0
    return materialized(
        manifest,
        {"dagster/partition_row_count": saved.ntotal, "size_bytes": manifest.files("index")[0].size_bytes},
        [
            dg.AssetCheckResult(
                check_name="every_vector_finds_itself",
                passed=saved.ntotal == len(vectors) == manifest.rows("ids") and worst > 0.998,
                metadata={"vectors": saved.ntotal, "lowest_similarity": worst},
            )
        ],
    )
