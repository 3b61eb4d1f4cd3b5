"""Pairs of images of a subset whose CLIP vectors are close, and those on which CLIP and SSCD disagree."""

import dagster as dg

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.clip_pairs import (
    CLIP_PAIR_COUNTS_SCHEMA,
    CLIP_PAIRS_SCHEMA,
    ModelVectors,
    clip_pairs,
    most_disputed,
)
from visdiv_assets.duplicates.near import pair_defects
from visdiv_assets.orchestration.assets.clip_optional import leave_out, missing_vectors
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    sheet_markdown,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    ClipPairsResource,
    ClipResource,
    DecoderResource,
    LakeResource,
    SourceResource,
)
from visdiv_assets.progress import progress
from visdiv_assets.publishing.contact_sheets import pairs_contact_sheet

CODE_VERSION = "2"
#: Pairs that the metadata shows.
PAIRS_SHOWN = 12


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
            description="No pair joins an image with itself, is below the similarity floor, or occurs twice.",
        )
    ],
)
def clip_near_duplicates(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    clip: ClipResource,
    clip_pair_search: ClipPairsResource,
) -> dg.MaterializeResult:
    """Pairs of different images of a subset whose CLIP vectors are close, each with its SSCD similarity.

    CLIP compares the content of images, while SSCD detects copies. Two images that are close by CLIP but not by SSCD
    usually show the same kind of thing and are not copies. In a subset of one kind of image nearly all pairs may be
    close, so a pair is stored only if it is among the best (VISDIV_CLIP_NEIGHBORS_KEPT, 8) of one of its two images;
    the others are counted. The metadata says how many were left out, and shows the pairs on which the models disagree
    most. Without CLIP weights nothing is made, and the metadata says why.
    """
    subset = context.partition_key
    floor = clip_pair_search.floor
    with stage(context, lake, LakeTable.CLIP_NEAR_DUPLICATES, CODE_VERSION) as run:
        store = run.lake
        if reason := missing_vectors(run, clip, LakeTable.CLIP_IMAGE_EMBEDDINGS):
            return leave_out(context, store, run.table, reason)
        images = run.require(LakeTable.SUBSET_IMAGES)
        sscd = run.current_embeddings(images)
        by_clip = run.current_embeddings(images, LakeTable.CLIP_IMAGE_EMBEDDINGS)
        inputs = digests_by_table(sscd, by_clip)
        write = run.write(
            inputs,
            model_id=by_clip.model_id,
            settings={
                "clip_floor": floor,
                "clip_neighbors_kept": clip_pair_search.neighbors_kept,
                "sscd_model_id": sscd.model_id,
            },
            source_revision=images.source_revision,
        )
        vectors = store.array(by_clip, "vectors")
        if not write.reuse("pairs", inputs):
            with (
                write.add("pairs", inputs) as unit,
                progress(f"comparing {subset} by CLIP", len(vectors), "image") as advance,
            ):
                clip_ids, sscd_ids = (store.read(part, "ids")["image_id"].combine_chunks() for part in (by_clip, sscd))
                found = clip_pairs(
                    ModelVectors(str(by_clip.model_id), clip_ids, vectors),
                    ModelVectors(str(sscd.model_id), sscd_ids, store.array(sscd, "vectors")),
                    floor=floor,
                    k_best=clip_pair_search.neighbors_kept,
                    device=clip_pair_search.joins_on(),
                    progress=advance,
                )
                unit.table("pairs", found.pairs, CLIP_PAIRS_SCHEMA)
                unit.table("counts", found.counts, CLIP_PAIR_COUNTS_SCHEMA)
        draft = write.draft()
        pairs, (counts,) = store.read(draft, "pairs"), store.read(draft, "counts").to_pylist()
        disputed = most_disputed(pairs, PAIRS_SHOWN)
        sheet = pairs_contact_sheet(
            ImageReader(store, source.open, decoder.limits),
            subset,
            disputed,
            lambda pair: f"CLIP {pair['clip_similarity']:.3f}  SSCD {pair['sscd_similarity']:.3f}",
        )
        manifest = write.commit()
    defects = pair_defects(pairs.rename_columns({"clip_similarity": "similarity"}), floor)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": pairs.num_rows,
            "images": len(vectors),
            "floor": floor,
            "pairs_close": counts["pairs"],
            "pairs_left_out": counts["pairs"] - counts["pairs_stored"],
            "images_with_more_partners_than_stored": counts["images_cut"],
            "disputed": table_preview(disputed),
            **({"disputed_pairs": sheet_markdown("disputed pairs", sheet)} if sheet else {}),
        },
        [check_defects("clip_pairs_sound", defects)],
    )
