"""Scores of published selection methods for the rows of all subsets."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import digests_by_partition, partitions_with, require_one_model
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.selection.stored_scores import SCORES_SCHEMA, corpus_scores
from visdiv_assets.orchestration.assets.stage import column_schema, materialized, stage
from visdiv_assets.orchestration.resources import LakeResource, SourceResource
from visdiv_assets.progress import progress

CODE_VERSION = "1"

#: Tables of a subset that is scored; a subset that lacks one is left out.
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
    """The scores of SemDeDup, conformity, whitened CLIP and CLIPScore for every row, computed over all subsets.

    A row with several images has the lowest of their scores. The scores drop rows only if VISDIV_KEEP_BY names one of
    them; `visdiv select` writes the best rows by a score. The table is empty if there are no CLIP vectors.
    """
    with stage(context, lake, LakeTable.SELECTION_SCORES, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, *NEEDED)
        embeddings = {subset: store.require(LakeTable.CLIP_IMAGE_EMBEDDINGS, subset) for subset in subsets}
        images = {subset: store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets}
        # A subset whose images were listed again is left out until it is embedded again.
        subsets = [name for name in subsets if embeddings[name].inputs[LakeTable.SUBSET_IMAGES] == images[name].digest]
        used = [*(embeddings[name] for name in subsets), *(images[name] for name in subsets)]
        used += [aligned for name in subsets if (aligned := store.manifest(LakeTable.ALIGNMENT, name))]
        inputs = digests_by_partition(used)
        write = run.write(inputs, model_id=require_one_model(embeddings[name] for name in subsets))
        # One unit of work, since each score compares a row with all rows.
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
