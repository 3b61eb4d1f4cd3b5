"""Which images of a subset mean the same, and where CLIP and SSCD disagree."""

import dagster as dg
import pyarrow as pa

from visdiv_assets.corpus.image_lookup import fetch_decoded, find_first_positions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.clip_pairs import CLIP_PAIRS_SCHEMA, ModelVectors, clip_pairs, most_disputed
from visdiv_assets.duplicates.near import pair_defects
from visdiv_assets.imaging.contact_sheet import PairTile, pair_sheet, thumbnail_data_uri
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    materialized,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import ClipPairsResource, DecoderResource, LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake

CODE_VERSION = "1"
PAIRS_SHOWN = 12
#: As text, in base64, it is a third larger, and has to stay below 100 kB.
SHEET_BYTES = 72_000
SIDES = ("image_id_a", "image_id_b")


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS, LakeTable.CLIP_IMAGE_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(CLIP_PAIRS_SCHEMA),
    check_specs=[
        check_spec(
            "clip_pairs_sound",
            asset=LakeTable.CLIP_NEAR_DUPLICATES,
            partitions_def=subset_partitions,
            blocking=True,
            description="No pair of an image with itself, none below the floor, none twice.",
        )
    ],
)
def clip_near_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    clip_pair_search: ClipPairsResource,
) -> dg.MaterializeResult:
    """Pairs of different images of a subset that are close to CLIP, each with its SSCD similarity.

    CLIP looks at what an image means, SSCD at whether it is a copy: a pair that CLIP calls close and SSCD does not is
    mostly two images of one kind. As in near_duplicates a pair is stored if it is among the best (64 by default) of
    one of its two images. The metadata shows the pairs on which the two disagree most.
    """
    subset = context.partition_key
    floor = clip_pair_search.floor
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        sscd = current_embeddings(store, images)
        clip = current_embeddings(store, images, LakeTable.CLIP_IMAGE_EMBEDDINGS)
        inputs = {part.table: part.digest for part in (sscd, clip)}
        write = store.write(
            LakeTable.CLIP_NEAR_DUPLICATES,
            subset,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=clip.model_id,
            settings={
                "clip_floor": floor,
                "neighbors_kept": clip_pair_search.neighbors_kept,
                "sscd_model_id": sscd.model_id,
            },
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        vectors = store.array(clip, "vectors")
        if not write.reuse("pairs", inputs):
            with (
                write.add("pairs", inputs) as unit,
                progress(f"comparing {subset} by CLIP", len(vectors), "image") as advance,
            ):
                clip_ids, sscd_ids = (store.read(part, "ids")["image_id"].combine_chunks() for part in (clip, sscd))
                found = clip_pairs(
                    ModelVectors(str(clip.model_id), clip_ids, vectors),
                    ModelVectors(str(sscd.model_id), sscd_ids, store.array(sscd, "vectors")),
                    floor=floor,
                    k_best=clip_pair_search.neighbors_kept,
                    device=clip_pair_search.joins_on(),
                    progress=advance,
                )
                unit.table("pairs", found, CLIP_PAIRS_SCHEMA)
        pairs = store.read(write.draft(), "pairs")
        disputed = most_disputed(pairs, PAIRS_SHOWN)
        sheet = _pair_sheet(store, source.open(), subset, disputed, decoder)
        manifest = write.commit()
    defects = pair_defects(pairs.rename_columns({"clip_similarity": "similarity"}), floor)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": pairs.num_rows,
            "images": len(vectors),
            "floor": floor,
            "disputed": table_preview(disputed),
            **({"disputed_pairs": dg.MetadataValue.md(f"![disputed pairs]({sheet})")} if sheet else {}),
        },
        [dg.AssetCheckResult(check_name="clip_pairs_sound", passed=not any(defects.values()), metadata=defects)],
    )


def _pair_sheet(store: Lake, source: Source, subset: str, disputed: pa.Table, decoder: DecoderResource) -> str | None:
    """The pairs on which CLIP and SSCD disagree most, for the UI; None where there is none."""
    records = disputed.to_pylist()
    if not records:
        return None
    places = find_first_positions(store, subset, (record[side] for record in records for side in SIDES))
    images = fetch_decoded(source, Kind.SUBSET, list(places.values()), limits=decoder.limits)
    tiles = []
    for record in records:
        first, second = sorted(places[record[side]] for side in SIDES)
        similarities = f"CLIP {record['clip_similarity']:.3f}  SSCD {record['sscd_similarity']:.3f}"
        tiles.append(PairTile(images[first], images[second], f"row {first.row} | row {second.row}   {similarities}"))
    return thumbnail_data_uri(pair_sheet(tiles, max_bytes=SHEET_BYTES))
