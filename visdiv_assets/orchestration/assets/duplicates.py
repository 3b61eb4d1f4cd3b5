"""Close pairs of images within a subset."""

from functools import partial

import dagster as dg

from visdiv_assets.corpus.access import current_regions
from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.candidates import PAIR_SCHEMA, load_images
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, closest_pairs, pair_defects
from visdiv_assets.duplicates.near import near_duplicates as near_duplicates_of
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.orchestration.assets.join_shared import (
    candidate_settings,
    join_parts,
    keep_candidates,
    pair_rules,
)
from visdiv_assets.orchestration.assets.region_joins import RegionSearch
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    sheet_markdown,
    stage,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    PairSearchResource,
    ProductsResource,
    SourceResource,
    VerificationResource,
)
from visdiv_assets.orchestration.work.joins import JoinBlocks, load_whole
from visdiv_assets.progress import progress
from visdiv_assets.publishing.contact_sheets import pairs_contact_sheet
from visdiv_assets.publishing.warehouse.images import neighbors_column
from visdiv_assets.vectors.join_blocks import split_into_blocks

CODE_VERSION = "4"
#: Pairs that the metadata shows.
PAIRS_SHOWN = 12


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.SUBSET_REGIONS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(PAIRS_SCHEMA),
    check_specs=[
        check_spec(
            "pairs_sound",
            asset=LakeTable.NEAR_DUPLICATES,
            partitions_def=subset_partitions,
            blocking=True,
            description="No pair joins an image with itself, is below the similarity floor, or occurs twice.",
        )
    ],
)
def near_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    products: ProductsResource,
    pair_search: PairSearchResource,
    verification: VerificationResource,
) -> dg.MaterializeResult:
    """Pairs of different images of a subset whose SSCD similarity reaches the floor, each pair once.

    Byte-equal copies share an image_id and are one image here. The join is exact. A pair is stored if it is among the
    best pairs (64 by default) of one of its two images; the neighbors of each image at the named thresholds are all
    counted. The same join finds the candidate pairs that verified_duplicates compares: the best 16 of each image from a
    lower similarity on, if no other images are closer to both, and those with close PDQ hashes. With
    VISDIV_REGIONS=true, images whose regions are close to another image are candidates, too, as long as they have fewer
    than 16 others.
    """
    subset = context.partition_key
    floor = pair_search.similarity_floor
    counted = {neighbors_column(name): value for name, value in NAMED_THRESHOLDS.items() if value >= floor}
    with stage(context, lake, LakeTable.NEAR_DUPLICATES, CODE_VERSION) as run:
        store = run.lake
        listed = run.require(LakeTable.SUBSET_IMAGES)
        embeddings = run.current_embeddings(listed)
        regions = current_regions(store, embeddings) if products.regions else None
        inputs = digests_by_table(listed, embeddings, regions)
        write = run.write(
            inputs,
            model_id=embeddings.model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": NAMED_THRESHOLDS,
                **candidate_settings(verification),
            },
            source_revision=embeddings.source_revision,
        )
        images = embeddings.rows("ids")
        rule, candidates = pair_rules(pair_search, verification)
        work = JoinBlocks(
            lake.in_each_process(),
            partial(load_whole, embeddings),
            None,
            digests_by_table(embeddings),
            rule,
            tuple(counted.values()),
        )
        if not write.reuse("pairs", inputs):
            with (
                progress(f"comparing {subset}", images, "image") as advance,
                join_parts(store, write, engine.open(), work, split_into_blocks(images), advance) as parts,
            ):
                own = load_images(store, listed, embeddings)
                by_region = None
                if regions is not None:
                    by_region = RegionSearch(
                        store, work.lake, write, engine.open(), candidates, subset, embeddings, regions
                    ).within()
                found = near_duplicates_of(own, parts, rule, candidates, list(counted), by_region)
                with write.add("pairs", inputs) as unit:
                    unit.table("pairs", found.pairs, PAIRS_SCHEMA)
                    unit.table("counts", found.counts, found.counts.schema)
                    keep_candidates(unit, found.candidates, PAIR_SCHEMA)
        draft = write.draft()
        pairs = store.read(draft, "pairs")
        counts = store.read(draft, "counts")
        sheet = pairs_contact_sheet(
            ImageReader(store, source.open, decoder.limits),
            subset,
            closest_pairs(pairs, PAIRS_SHOWN),
            lambda pair: f"{pair['similarity']:.3f}",
        )
        manifest = write.commit()
    with_neighbors = {f"images_with_{name}": int((counts[name].to_numpy() > 0).sum()) for name in counted}
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": pairs.num_rows,
            "images": images,
            **with_neighbors,
            "floor": floor,
            **({"closest_pairs": sheet_markdown("closest pairs", sheet)} if sheet else {}),
        },
        [check_defects("pairs_sound", pair_defects(pairs, floor))],
    )
