"""The alignment of the texts of a subset with its images whose own text is masked (T-MARS)."""

import time
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.alignment.masked import SCHEMA, MaskedImages, compare_masked
from visdiv_assets.curation.alignment.subset import require_same_weights, turns_with_indices
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.orchestration.assets.clip_optional import leave_out
from visdiv_assets.orchestration.assets.stage import (
    check_defects,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.pools import GPU, pool_slot
from visdiv_assets.orchestration.resources import (
    ClipResource,
    DecoderResource,
    EngineResource,
    LakeResource,
    SourceResource,
)
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.orchestration.work.masked_images import IDS_SCHEMA, EmbedMasked, MaskedUnit
from visdiv_assets.progress import progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import UnitWrite

CODE_VERSION = "1"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[
        LakeTable.SUBSET_IMAGES,
        LakeTable.SUBSET_TURNS,
        LakeTable.CLIP_IMAGE_EMBEDDINGS,
        LakeTable.CLIP_TEXT_EMBEDDINGS,
        LakeTable.IMAGE_TEXTS,
    ],
    group_name="5_findings",
    kinds={"parquet", "pytorch"},
    code_version=CODE_VERSION,
    metadata=column_schema(SCHEMA),
    check_specs=[
        check_spec(
            "masked_scores_sound",
            asset=LakeTable.MASKED_ALIGNMENT,
            partitions_def=subset_partitions,
            description="Every similarity is between -1 and 1.",
        )
    ],
)
def masked_alignment(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    clip: ClipResource,
) -> dg.MaterializeResult:
    """CLIPScore of turns with images as they are and with their text masked (T-MARS): what fits only by that text.

    The boxes of `image_texts` are painted over with the average color around them, the image is embedded again by CLIP,
    and compared with the stored vectors of the turns of its row. Only images that were read and have text are compared.
    No row is dropped by it. Only the job ocr_pipeline and `visdiv run --ocr` include this asset. Without CLIP weights
    nothing is made, and the metadata says why. What was read as one unit of work is embedded as one.
    """
    begin = time.monotonic()
    with stage(context, lake, LakeTable.MASKED_ALIGNMENT, CODE_VERSION) as run:
        store = run.lake
        if reason := clip.missing_weights():
            return leave_out(context, store, run.table, reason)
        images, turns = run.require(LakeTable.SUBSET_IMAGES), run.current_turns()
        of_images, of_texts, read = (
            run.current_embeddings(images, table)
            for table in (LakeTable.CLIP_IMAGE_EMBEDDINGS, LakeTable.CLIP_TEXT_EMBEDDINGS, LakeTable.IMAGE_TEXTS)
        )
        require_same_weights(of_images, of_texts)
        inputs = digests_by_table(images, turns, of_images, of_texts, read)
        model_id = str(of_images.model_id)
        write = run.write(inputs, model_id=model_id, source_revision=images.source_revision)
        work = EmbedMasked(
            lake.in_each_process(), source.in_each_process(), images, clip.images(), model_id, decoder.limits
        )
        planned = [
            Planned(unit.name, {"read": unit.digest}, replace(read, units=(unit,)))
            for unit in read.units
            if "read" in unit.files
        ]
        with (
            pool_slot(context, GPU),
            progress(f"masking text in images of {run.partition}", read.rows("read"), "image") as advance,
        ):
            make_units(write, engine.open(), work, planned, _store, advance)
        reused, embedded = write.reused, write.draft()
        if not write.reuse("scores", inputs):
            with write.add("scores", inputs) as unit:
                unit.table("scores", _scores(store, of_images, of_texts, read, embedded), SCHEMA)
        manifest = write.commit()
        scores = store.read(manifest, "scores")
    fell = pc.subtract(scores["clip_score"], scores["clip_score_masked"])
    scored = len(fell) - fell.null_count
    cosines = [scores[name].drop_null().to_numpy() for name in ("cosine", "cosine_masked")]
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": scores.num_rows,
            "images_masked": manifest.rows("ids"),
            "turns_scored": scored,
            **({"median_fall": float(np.median(fell.drop_null().to_numpy()))} if scored else {}),
            "most_fallen": table_preview(scores.take(pc.sort_indices(fell, sort_keys=[("", "descending")]))),
            "units_reused": reused,
            "seconds": time.monotonic() - begin,
            "model_id": model_id,
        },
        [
            check_defects(
                "masked_scores_sound",
                {"out_of_range": sum(int(np.count_nonzero(~(np.abs(cosine) <= 1))) for cosine in cosines)},
            )
        ],
    )


def _store(unit: UnitWrite, of_unit: Manifest, result: MaskedUnit) -> None:
    ids, vectors = result
    unit.table("ids", ids, IDS_SCHEMA)
    unit.array("vectors", vectors)


def _scores(
    lake: Lake, of_images: Manifest, of_texts: Manifest, read: Manifest, embedded: Manifest
) -> Iterator[pa.RecordBatch]:
    """Yield the similarities of all images with text and the turns of their rows."""
    found = lake.read(read, "images", columns=["row", "image_index", "image_id"], where=pc.field("boxes") > 0)
    positions = found.sort_by([("row", "ascending"), ("image_index", "ascending")])
    if not positions.num_rows:
        return
    images = MaskedImages(
        positions,
        IdIndex(lake.read(of_images, "ids")["image_id"]).rows(positions["image_id"]),
        IdIndex(lake.read(embedded, "ids")["image_id"]).rows(positions["image_id"]),
    )
    texts = IdIndex(lake.read(of_texts, "texts", columns=["text_id"])["text_id"])
    yield from compare_masked(
        turns_with_indices(lake, of_texts, texts),
        images,
        lake.array(of_images, "vectors"),
        lake.array(embedded, "vectors"),
        lake.array(of_texts, "vectors"),
    )
