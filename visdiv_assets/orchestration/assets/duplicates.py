"""Close pairs of images within a subset."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from visdiv_assets.corpus.access import load_embeddings
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, NearDuplicates, closest_pairs, pair_defects, to_image_ids
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    sheet_markdown,
    stage,
)
from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    PairSearchResource,
    SourceResource,
)
from visdiv_assets.orchestration.work.joins import BlocksOfSubset, WholeSubset
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import Progress, progress
from visdiv_assets.publishing.contact_sheets import pairs_contact_sheet
from visdiv_assets.publishing.warehouse.images import neighbors_column
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite
from visdiv_assets.vectors.join_blocks import BEST_SCHEMA, Part, merge_parts, split_into_blocks

CODE_VERSION = "1"
#: Pairs that the metadata shows.
PAIRS_SHOWN = 12


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS],
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
    pair_search: PairSearchResource,
) -> dg.MaterializeResult:
    """Pairs of different images of a subset whose SSCD similarity reaches the floor, each pair once.

    Byte-equal copies share an image_id and are one image here. The join is exact. A pair is stored if it is among the
    best pairs (64 by default) of one of its two images; the neighbors of each image at the named thresholds are all
    counted.
    """
    subset = context.partition_key
    floor = pair_search.similarity_floor
    counted = {neighbors_column(name): value for name, value in NAMED_THRESHOLDS.items() if value >= floor}
    with stage(context, lake, LakeTable.NEAR_DUPLICATES, CODE_VERSION) as run:
        store = run.lake
        embeddings = run.current_embeddings(run.require(LakeTable.SUBSET_IMAGES))
        inputs = digests_by_table(embeddings)
        write = run.write(
            inputs,
            model_id=embeddings.model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": NAMED_THRESHOLDS,
            },
            source_revision=embeddings.source_revision,
        )
        images = embeddings.rows("ids")
        work = WholeSubset(lake.in_each_process(), embeddings, floor, pair_search.neighbors_kept, counted)
        with progress(f"comparing {subset}", images, "image") as advance:
            if len(split_into_blocks(images)) < 2:
                make_units(write, engine.open(), work, [Planned("pairs", inputs, images)], _keep, advance)
            elif not write.reuse("pairs", inputs):
                found = _find_by_blocks(store, write, engine.open(), work, advance)
                with write.add("pairs", inputs) as unit:
                    _keep(unit, images, found)
        draft = write.draft()
        pairs = store.read(draft, "pairs")
        counts = store.read(draft, "counts")
        sheet = pairs_contact_sheet(
            store,
            source.open(),
            subset,
            closest_pairs(pairs, PAIRS_SHOWN),
            lambda pair: f"{pair['similarity']:.3f}",
            limits=decoder.limits,
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


def _keep(unit: UnitWrite, images: int, found: NearDuplicates) -> None:
    unit.table("pairs", found.pairs, PAIRS_SCHEMA)
    unit.table("counts", found.counts, found.counts.schema)


def _find_by_blocks(
    store: Lake, write: PartitionWrite, engine: Engine, work: WholeSubset, advance: Progress
) -> NearDuplicates:
    """Return the same result as `work`, block by block, so that an interrupted run resumes after its last block."""
    embeddings = work.embeddings
    blocks = [
        Planned(f"rows {start} to {stop}", {LakeTable.SSCD_EMBEDDINGS: embeddings.digest}, (start, stop))
        for start, stop in split_into_blocks(embeddings.rows("ids"))
    ]

    def keep(unit: UnitWrite, block: tuple[int, int], part: Part) -> None:
        unit.table("best", part.best, BEST_SCHEMA)
        unit.table("counts", part.counts, part.counts.schema)

    scratch = write.scratch()
    in_blocks = BlocksOfSubset(work.lake, embeddings, work.floor, work.k_best, work.count_at)
    make_units(scratch, engine, in_blocks, blocks, keep, advance)

    def parts() -> Iterator[Part]:
        for unit in scratch.draft().units:
            only = replace(scratch.draft(), units=(unit,))
            yield Part(store.read(only, "best"), store.read(only, "counts"))

    own = load_embeddings(store, embeddings)
    result = merge_parts(own.vectors, parts(), work.floor, k_best=work.k_best, thresholds=len(work.count_at))
    return to_image_ids(result, own.image_ids, own.vectors, list(work.count_at))
