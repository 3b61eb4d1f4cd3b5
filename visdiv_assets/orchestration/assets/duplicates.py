"""Which images of a subset are close."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from visdiv_assets.corpus.image_lookup import fetch_images, find_first_positions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.cross_subset import load_embeddings
from visdiv_assets.duplicates.near import PAIRS_SCHEMA, NearDuplicates, closest_pairs, pair_defects, to_image_ids
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.imaging.contact_sheet import PairTile, pair_sheet, thumbnail_data_uri
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    materialized,
    user_errors,
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
from visdiv_assets.publishing.warehouse.images import neighbors_column
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite
from visdiv_assets.vectors.join_blocks import BEST_SCHEMA, Part, merge_parts, split_into_blocks

CODE_VERSION = "1"
PAIRS_SHOWN = 12
#: As text, in base64, it is a third larger, and has to stay below 100 kB.
SHEET_BYTES = 72_000
SIDES = ("image_id_a", "image_id_b")


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
            description="No pair of an image with itself, none below the floor, none twice.",
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

    Byte-equal copies are one image here, since they share an image_id. The join is exact. A pair is stored if it is
    among the best (64 by default) of one of its two images; the neighbors of each image at the named thresholds
    are counted in full.
    """
    subset = context.partition_key
    floor = pair_search.similarity_floor
    counted = {neighbors_column(name): value for name, value in NAMED_THRESHOLDS.items() if value >= floor}
    with user_errors():
        store = lake.open()
        embeddings = current_embeddings(store, store.require(LakeTable.SUBSET_IMAGES, subset))
        write = store.write(
            LakeTable.NEAR_DUPLICATES,
            subset,
            code_version=CODE_VERSION,
            inputs={LakeTable.SSCD_EMBEDDINGS: embeddings.digest},
            model_id=embeddings.model_id,
            settings={
                "similarity_floor": floor,
                "neighbors_kept": pair_search.neighbors_kept,
                "thresholds": NAMED_THRESHOLDS,
            },
            source_revision=embeddings.source_revision,
            run_id=context.run.run_id,
        )
        images = embeddings.rows("ids")
        work = WholeSubset(lake.in_each_process(), embeddings, floor, pair_search.neighbors_kept, counted)
        inputs: dict[str, str] = {LakeTable.SSCD_EMBEDDINGS: embeddings.digest}
        with progress(f"comparing {subset}", images, "image") as advance:
            if len(split_into_blocks(images)) < 2:
                make_units(write, engine.open(), work, [Planned("pairs", inputs, images)], _keep, advance)
            elif not write.reuse("pairs", inputs):
                found = _by_blocks(store, write, engine.open(), work, advance)
                with write.add("pairs", inputs) as unit:
                    _keep(unit, images, found)
        draft = write.draft()
        pairs = store.read(draft, "pairs")
        counts = store.read(draft, "counts")
        sheet = _contact_sheet(store, source.open(), draft, decoder)
        manifest = write.commit()
    with_neighbors = {f"images_with_{name}": int((counts[name].to_numpy() > 0).sum()) for name in counted}
    defects = pair_defects(pairs, floor)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": pairs.num_rows,
            "images": images,
            **with_neighbors,
            "floor": floor,
            **({"closest_pairs": dg.MetadataValue.md(f"![closest pairs]({sheet})")} if sheet else {}),
        },
        [dg.AssetCheckResult(check_name="pairs_sound", passed=not any(defects.values()), metadata=defects)],
    )


def _keep(unit: UnitWrite, images: int, found: NearDuplicates) -> None:
    unit.table("pairs", found.pairs, PAIRS_SCHEMA)
    unit.table("counts", found.counts, found.counts.schema)


def _by_blocks(
    store: Lake, write: PartitionWrite, engine: Engine, work: WholeSubset, advance: Progress
) -> NearDuplicates:
    """What `work` finds, block by block: what a run that was killed had finished of it is found again."""
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


def _contact_sheet(store: Lake, source: Source, manifest: Manifest, decoder: DecoderResource) -> str | None:
    """The closest pairs as an image for the UI; None where there is no pair."""
    top = closest_pairs(store.read(manifest, "pairs"), PAIRS_SHOWN).to_pylist()
    if not top:
        return None
    places = find_first_positions(store, manifest.partition, (pair[side] for pair in top for side in SIDES))
    images = fetch_images(source, Kind.SUBSET, list(places.values()))
    tiles_shown = []
    for pair in top:
        first, second = sorted(places[pair[side]] for side in SIDES)
        left, right = (decode_image(images[place].data, limits=decoder.limits).pixels for place in (first, second))
        tiles_shown.append(PairTile(left, right, f"row {first.row} | row {second.row}   {pair['similarity']:.3f}"))
    return thumbnail_data_uri(pair_sheet(tiles_shown, max_bytes=SHEET_BYTES))
