"""Groups of copies in the whole corpus."""

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.decisions import POSITIONS_SCHEMA, decide_positions
from visdiv_assets.curation.linked_images import load_linked_images, load_positions, partitions_with, require_one_model
from visdiv_assets.curation.row_findings import load_row_facts
from visdiv_assets.curation.selection.keep_masks import ROWS_SCHEMA, as_table
from visdiv_assets.duplicates.clusters import (
    SIZES_SCHEMA,
    SUMMARY_SCHEMA,
    component_sizes,
    find_clusters,
    find_confirmed_clusters,
)
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    materialized,
    present_partitions,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.resources import CleaningResource, LakeResource, PairSearchResource, SourceResource

CODE_VERSION = "3"

#: What the decisions are made from; a subset that lacks one of the first three takes no part.
NEEDED = (LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES, LakeTable.VERIFIED_DUPLICATES)
USED = (*NEEDED, LakeTable.QUALITY_ROWS, LakeTable.CONTAMINATION, LakeTable.VERIFIED_CONTAMINATION)
CORPUS_TABLES = (LakeTable.CROSS_SUBSET_DUPLICATES, LakeTable.VERIFIED_CROSS_SUBSET)


@dg.asset(
    deps=[*USED, *CORPUS_TABLES, LakeTable.SELECTION_SCORES],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(POSITIONS_SCHEMA),
    check_specs=[
        check_spec(
            "one_keeper_per_cluster",
            asset=LakeTable.DUPLICATE_CLUSTERS,
            blocking=True,
            description="Of every cluster that a remaining row holds, exactly one position is kept.",
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
    """Image positions that hold copies of each other, in all subsets, and the one of each cluster that is kept.

    Exact copies are linked, and pairs whose pixels agree (with VISDIV_COPIES_BY=similarity, pairs from
    VISDIV_DUPLICATE_THRESHOLD on). A component is all that a chain of links connects; a cluster is a representative
    with the images that are copies of it themselves, or of two others of the cluster. Of a cluster the best position
    is kept: in a row that stays, not contaminated, best rated, most pixels, lossless, then the lowest (subset, row,
    image_index). Smallest similarities and diameters are computed from the vectors.
    """
    with user_errors():
        store = present_partitions(lake.open(), source.open())
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
        rows = {subset: store.require(LakeTable.SUBSET_IMAGES, subset).facts["rows"] for subset in subsets}
        going = cleaning.selection.drop_masks(store, rows)
        if cleaning.keep_by:
            inputs[LakeTable.SELECTION_SCORES] = store.require(LakeTable.SELECTION_SCORES, CORPUS_PARTITION).digest
        write = store.write(
            LakeTable.DUPLICATE_CLUSTERS,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=model_id,
            settings={
                "similarity_floor": pair_search.similarity_floor,
                "copies_by": cleaning.copies_by,
                "duplicate_threshold": cleaning.duplicate_threshold,
                "contamination_threshold": cleaning.contamination_threshold,
                "row_rule": cleaning.row_rule,
                "drop": cleaning.drop,
                **cleaning.selection.settings(),
            },
            run_id=context.run.run_id,
        )
        if not write.reuse("clusters", inputs):
            with write.add("clusters", inputs) as unit:
                facts = [
                    load_row_facts(
                        store,
                        subset,
                        copies_by=cleaning.copies_by,
                        contamination_threshold=cleaning.contamination_threshold,
                        drop=cleaning.drop,
                        not_selected=going.get(subset),
                    )
                    for subset in subsets
                ]
                linked = load_linked_images(store, subsets, cleaning.copies_by)
                positions = load_positions(store, facts, linked.image_ids)
                priority = positions.image_priority(len(linked.image_ids))
                images = (linked.image_ids, linked.vectors, linked.pairs, priority)
                clusters = (
                    find_confirmed_clusters(*images)
                    if cleaning.copies_by == "pixels"
                    else find_clusters(*images, cleaning.duplicate_threshold)
                )
                close = load_linked_images(store, subsets, "similarity")
                thresholds = published_thresholds(pair_search.similarity_floor, cleaning.duplicate_threshold)
                sizes = component_sizes(len(close.image_ids), close.pairs, thresholds)
                decided = decide_positions(positions, clusters.images, linked.vectors, subsets, rule=cleaning.row_rule)
                unit.table("positions", decided, POSITIONS_SCHEMA)
                unit.table("summary", clusters.summary, SUMMARY_SCHEMA)
                unit.table("sizes", sizes, SIZES_SCHEMA)
                unit.table("not_selected", as_table(going), ROWS_SCHEMA)
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
