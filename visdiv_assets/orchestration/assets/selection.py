"""What published selection methods say of the rows of all subsets."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.linked_images import partitions_with, require_one_model
from visdiv_assets.curation.selection.stored_scores import SCORES_SCHEMA, corpus_scores
from visdiv_assets.orchestration.assets.common import (
    column_schema,
    materialized,
    present_partitions,
    user_errors,
)
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress

CODE_VERSION = "1"

#: A subset that lacks one of these takes no part.
NEEDED = (LakeTable.SUBSET_IMAGES, LakeTable.CLIP_IMAGE_EMBEDDINGS)


@dg.asset(
    deps=[*NEEDED, "alignment"],
    group_name="6_corpus",
    kinds={"parquet", "numpy", "faiss"},
    code_version=CODE_VERSION,
    metadata=column_schema(SCORES_SCHEMA),
)
def selection_scores(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource
) -> dg.MaterializeResult:
    """The scores of SemDeDup, conformity, whitened CLIP and CLIPScore for every row, among all subsets together.

    Of several images of a row the lowest score counts. Nothing is left out by these unless VISDIV_KEEP_BY names one
    of them; `visdiv select` writes the best rows by one. Empty where there are no CLIP vectors.
    """
    with user_errors():
        store = present_partitions(lake.open(), source.open())
        subsets = partitions_with(store, *NEEDED)
        embeddings = {subset: store.require(LakeTable.CLIP_IMAGE_EMBEDDINGS, subset) for subset in subsets}
        images = {subset: store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets}
        # Of a subset whose images were listed anew and not embedded since, there is nothing to say yet.
        subsets = [name for name in subsets if embeddings[name].inputs[LakeTable.SUBSET_IMAGES] == images[name].digest]
        used = [*(embeddings[name] for name in subsets), *(images[name] for name in subsets)]
        used += [aligned for name in subsets if (aligned := store.manifest(LakeTable.ALIGNMENT, name))]
        inputs = {f"{part.partition} {part.table}": part.digest for part in used}
        write = store.write(
            LakeTable.SELECTION_SCORES,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=require_one_model(embeddings[name] for name in subsets),
            run_id=context.run.run_id,
        )
        # Each score is among all, so this is one unit of work.
        if not write.reuse("scores", inputs):
            vectors = sum(embeddings[name].rows("ids") for name in subsets)
            with write.add("scores", inputs) as unit, progress("scoring rows", 4 * vectors, "image") as advance:
                tables = corpus_scores(store, subsets, progress=advance)
                unit.table("scores", (batch for table in tables for batch in table.to_batches()), SCORES_SCHEMA)
        manifest = write.commit(subsets=subsets)
        scored = store.read(manifest, "scores")
    counts = {f"rows_with_{name}": scored.num_rows - scored[name].null_count for name in SCORES_SCHEMA.names[2:]}
    means = {f"mean_{name}": pc.mean(scored[name]).as_py() for name in SCORES_SCHEMA.names[2:]}
    return materialized(
        manifest,
        {
            "dagster/row_count": scored.num_rows,
            "subsets": len(subsets),
            **counts,
            **{name: value for name, value in means.items() if value is not None},
        },
    )
