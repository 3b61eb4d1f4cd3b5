"""Clusters of copies in all subsets together."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import partitions_with, require_one_model
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.corpus_clusters import cluster_corpus
from visdiv_assets.curation.decisions import POSITIONS_SCHEMA
from visdiv_assets.curation.selection.keep_masks import ROWS_SCHEMA, as_table
from visdiv_assets.curation.text_rows import TEXT_ROWS_SCHEMA
from visdiv_assets.duplicates.clusters import (
    SIZES_SCHEMA,
    SUMMARY_SCHEMA,
)
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.resources import CleaningResource, LakeResource, PairSearchResource, SourceResource

CODE_VERSION = "7"

#: Tables of a subset that is clustered; a subset that lacks one is left out.
NEEDED = (LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES, LakeTable.VERIFIED_DUPLICATES)
#: Tables of a subset that the decisions are made from.
USED = (
    *NEEDED,
    LakeTable.QUALITY_ROWS,
    LakeTable.CONTAMINATION,
    LakeTable.VERIFIED_CONTAMINATION,
    LakeTable.TEXT_CONTAMINATION,
)
CORPUS_TABLES = (LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET)


@dg.asset(
    deps=[*USED, *CORPUS_TABLES, LakeTable.TEXT_QUALITY, LakeTable.TEXT_DUPLICATES, LakeTable.SELECTION_SCORES],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(POSITIONS_SCHEMA),
    check_specs=[
        check_spec(
            "one_keeper_per_cluster",
            asset=LakeTable.DUPLICATE_CLUSTERS,
            blocking=True,
            description="Exactly one position is kept of each cluster that has a position in a kept row.",
        )
    ],
)
def duplicate_clusters(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    pair_search: PairSearchResource,
    cleaning: CleaningResource,
) -> dg.MaterializeResult:
    """Clusters of copies in all subsets, and the image position of each cluster that a clean copy keeps.

    Exact copies and confirmed pairs are linked (with VISDIV_COPIES_BY=similarity, pairs with at least the similarity
    VISDIV_DUPLICATE_THRESHOLD). A component is a set of images connected by links; a cluster is an image that is kept
    with images that are linked to it directly, each with the similarity, the confidence and the evidence of that link.
    The best image of a component is kept, then the best of those that are not linked to it, and so on. Preferred are
    positions in a kept row, not contaminated, best rated, with most pixels, lossless, then the lowest (subset, row,
    image_index). Smallest similarities and diameters are computed from the vectors.
    """
    with stage(context, lake, LakeTable.DUPLICATE_CLUSTERS, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, *NEEDED)
        manifests = {
            f"{subset} {table}": manifest
            for subset in subsets
            for table in USED
            if (manifest := store.manifest(table, subset))
        }
        model_id = require_one_model(store.require(LakeTable.SSCD_EMBEDDINGS, subset) for subset in subsets)
        inputs = {name: manifest.digest for name, manifest in manifests.items()}
        across = {table: store.manifest(table, CORPUS_PARTITION) for table in CORPUS_TABLES}
        inputs |= {table: manifest.digest for table, manifest in across.items() if manifest}
        images = {subset: store.require(LakeTable.SUBSET_IMAGES, subset) for subset in subsets}
        not_selected = cleaning.selection.drop_masks(store, images)
        if cleaning.keep_by:
            inputs[LakeTable.SELECTION_SCORES] = store.require(LakeTable.SELECTION_SCORES, CORPUS_PARTITION).digest
        if "text_duplicate" in cleaning.drop:
            inputs[LakeTable.TEXT_DUPLICATES] = store.require(LakeTable.TEXT_DUPLICATES, CORPUS_PARTITION).digest
        if "text_quality" in cleaning.drop:
            measured = {subset: store.require(LakeTable.TEXT_QUALITY, subset) for subset in subsets}
            inputs |= {f"{subset} {LakeTable.TEXT_QUALITY}": manifest.digest for subset, manifest in measured.items()}
        write = run.write(
            inputs,
            model_id=model_id,
            settings=cleaning.rules(pair_search.similarity_floor).settings(),
        )
        if not write.reuse("clusters", inputs):
            with write.add("clusters", inputs) as unit:
                found = cluster_corpus(
                    store,
                    subsets,
                    not_selected,
                    copies_by=cleaning.copies_by,
                    duplicate_threshold=cleaning.duplicate_threshold,
                    contamination_threshold=cleaning.contamination_threshold,
                    text_contamination_share=cleaning.text_contamination_share,
                    image_profile=cleaning.image_profile,
                    text_profile=cleaning.text_profile,
                    row_rule=cleaning.row_rule,
                    drop=cleaning.reasons,
                    thresholds=published_thresholds(pair_search.similarity_floor, cleaning.duplicate_threshold),
                )
                unit.table("positions", found.positions, POSITIONS_SCHEMA)
                unit.table("summary", found.summary, SUMMARY_SCHEMA)
                unit.table("sizes", found.sizes, SIZES_SCHEMA)
                unit.table("text_rows", found.text_rows, TEXT_ROWS_SCHEMA)
                unit.table("not_selected", as_table(not_selected), ROWS_SCHEMA)
        manifest = write.commit(subsets=subsets)
        decided = store.read(manifest, "positions")
        sizes = store.read(manifest, "sizes")
        summary = store.read(manifest, "summary")
    kept = decided.filter(decided["keep"])
    with_keeper = pc.count_distinct(decided.filter(pc.is_valid(decided["keeper_row"]))["cluster_id"]).as_py()
    largest = summary.sort_by([("images", "descending"), ("cluster_id", "ascending")])
    return materialized(
        manifest,
        {
            "dagster/row_count": decided.num_rows,
            "clusters": pc.count_distinct(decided["cluster_id"]).as_py(),
            "positions_redundant": decided.num_rows - kept.num_rows,
            "largest_components_by_threshold": table_preview(sizes),
            "largest_clusters": table_preview(largest),
        },
        [
            dg.AssetCheckResult(
                check_name="one_keeper_per_cluster",
                passed=kept.num_rows == with_keeper == pc.count_distinct(kept["cluster_id"]).as_py(),
                metadata={"clusters": with_keeper, "keepers": kept.num_rows},
            )
        ],
    )
