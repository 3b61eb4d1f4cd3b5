"""Which images several subsets share."""

from itertools import combinations

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.linked_images import partitions_with, require_one_model
from visdiv_assets.duplicates.cross_subset import OVERLAP_SCHEMA, SubsetComparison
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, pair_defects
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    materialized,
    present_partitions,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.resources import (
    CleaningResource,
    EngineResource,
    LakeResource,
    PairSearchResource,
    SourceResource,
)
from visdiv_assets.orchestration.work.joins import SubsetTiles, TwoSubsets
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import progress
from visdiv_assets.storage.partition_write import UnitWrite

CODE_VERSION = "1"


@dg.asset(
    deps=[LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES],
    group_name="6_corpus",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(PAIRS_SCHEMA),
    check_specs=[
        check_spec(
            "pairs_sound",
            asset=LakeTable.CROSS_SUBSET_DUPLICATES,
            blocking=True,
            description="No pair of an image with itself, none below the floor.",
        )
    ],
)
def cross_subset_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    engine: EngineResource,
    pair_search: PairSearchResource,
    cleaning: CleaningResource,
) -> dg.MaterializeResult:
    """Close pairs of images from two different subsets, and the share of each subset that occurs in each other one.

    Every two subsets are one tile, joined exactly. A tile whose two subsets did not change is not computed again, so
    adding a subset costs one row of tiles. Byte-equal images are counted in the overlap; they are no pair here.
    """
    floor = pair_search.similarity_floor
    thresholds = published_thresholds(floor, cleaning.duplicate_threshold)
    with user_errors():
        store = present_partitions(lake.open(), source.open())
        subsets = partitions_with(store, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
        embeddings = {subset: store.require(LakeTable.SSCD_EMBEDDINGS, subset) for subset in subsets}
        nearest = {subset: store.require(LakeTable.NEAR_DUPLICATES, subset) for subset in subsets}
        model_id = require_one_model(embeddings.values())
        write = store.write(
            LakeTable.CROSS_SUBSET_DUPLICATES,
            CORPUS_PARTITION,
            code_version=CODE_VERSION,
            inputs={subset: of_subset.digest for subset, of_subset in embeddings.items()},
            model_id=model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": thresholds,
            },
            run_id=context.run.run_id,
        )
        sizes = {subset: of_subset.rows("ids") for subset, of_subset in embeddings.items()}
        pairs_of_subsets = list(combinations(subsets, 2))
        total = sum(sizes[one] for one, _ in pairs_of_subsets)
        sides = {subset: (embeddings[subset], nearest[subset]) for subset in subsets}
        planned = []
        for one, other in pairs_of_subsets:
            inputs = {
                f"{side}_{part.table}": part.digest
                for side, subset in (("left", one), ("right", other))
                for part in sides[subset]
            }
            planned.append(Planned(f"{one} | {other}", inputs, TwoSubsets(sides[one], sides[other])))
        work = SubsetTiles(lake.in_each_process(), floor, pair_search.neighbors_kept, thresholds)

        def keep(unit: UnitWrite, two: TwoSubsets, tile: SubsetComparison) -> None:
            unit.table("pairs", tile.pairs, PAIRS_SCHEMA)
            unit.table("overlap", tile.overlap, OVERLAP_SCHEMA)

        with progress("comparing subsets", total, "image") as advance:
            make_units(write, engine.open(), work, planned, keep, advance)
        manifest = write.commit(subsets=subsets)
        found = store.read(manifest, "pairs") if manifest.units else PAIRS_SCHEMA.empty_table()
        overlap = store.read(manifest, "overlap") if manifest.units else OVERLAP_SCHEMA.empty_table()
    defects = pair_defects(found, floor)
    at_threshold = overlap.filter(pc.equal(overlap["threshold"], cleaning.duplicate_threshold))
    most = at_threshold.sort_by([("share", "descending"), ("subset", "ascending"), ("other_subset", "ascending")])
    return materialized(
        manifest,
        {
            "dagster/row_count": found.num_rows,
            "subsets": len(subsets),
            "tiles": len(pairs_of_subsets),
            "tiles_reused": write.reused,
            "largest_overlaps": table_preview(most),
        },
        [
            dg.AssetCheckResult(
                check_name="pairs_sound",
                # The same two images may be shared by several tiles.
                passed=not (defects["self_pairs"] or defects["below_floor"]),
                metadata=defects,
            )
        ],
    )
