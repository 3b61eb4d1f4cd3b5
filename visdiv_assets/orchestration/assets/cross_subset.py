"""Close pairs of images across subsets."""

from itertools import combinations

import dagster as dg
import pyarrow.compute as pc

from visdiv_assets.corpus.access import partitions_with, require_one_model
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.cross_subset import OVERLAP_SCHEMA, SubsetComparison
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, pair_defects
from visdiv_assets.duplicates.thresholds import published_thresholds
from visdiv_assets.orchestration.assets.stage import (
    check_spec,
    column_schema,
    materialized,
    stage,
    table_preview,
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
            description="No pair joins an image with itself or is below the similarity floor.",
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
    """Close pairs of images from two different subsets, and the share of each subset that occurs in each other subset.

    Each pair of subsets is one tile, joined exactly. A tile is computed again only if one of its subsets has changed,
    so a new subset adds one tile for each other subset. Byte-equal images count in the overlap but are not pairs.
    """
    floor = pair_search.similarity_floor
    thresholds = published_thresholds(floor, cleaning.duplicate_threshold)
    with stage(context, lake, LakeTable.CROSS_SUBSET_DUPLICATES, CODE_VERSION, present_in=source) as run:
        store = run.lake
        subsets = partitions_with(store, LakeTable.SSCD_EMBEDDINGS, LakeTable.NEAR_DUPLICATES)
        embeddings = {subset: store.require(LakeTable.SSCD_EMBEDDINGS, subset) for subset in subsets}
        nearest = {subset: store.require(LakeTable.NEAR_DUPLICATES, subset) for subset in subsets}
        model_id = require_one_model(embeddings.values())
        write = run.write(
            {subset: of_subset.digest for subset, of_subset in embeddings.items()},
            model_id=model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": thresholds,
            },
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
                # Several tiles may hold the same two images, so repeated pairs are no defect.
                passed=not (defects["self_pairs"] or defects["below_floor"]),
                metadata=defects,
            )
        ],
    )
