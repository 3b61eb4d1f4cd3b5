"""The alignment of the texts of a subset with their images."""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.alignment.subset import (
    align_subset,
    alignment_defects,
    require_same_weights,
    summarize_stored_turns,
    summary_metrics,
)
from visdiv_assets.curation.alignment.summary import (
    ROWS_SCHEMA,
    SUMMARY_SCHEMA,
)
from visdiv_assets.curation.alignment.turns import TURNS_SCHEMA
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
from visdiv_assets.orchestration.resources import ClipResource, DecoderResource, LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.publishing.contact_sheets import alignment_contact_sheets

CODE_VERSION = "1"


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.CLIP_IMAGE_EMBEDDINGS, LakeTable.CLIP_TEXT_EMBEDDINGS],
    group_name="5_findings",
    kinds={"parquet", "numpy"},
    code_version=CODE_VERSION,
    metadata=column_schema(ROWS_SCHEMA),
    check_specs=[
        check_spec(
            "scores_sound",
            asset=LakeTable.ALIGNMENT,
            partitions_def=subset_partitions,
            blocking=True,
            description="Every row of the subset occurs once, and every similarity is between -1 and 1.",
        )
    ],
)
def alignment(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    clip: ClipResource,
) -> dg.MaterializeResult:
    """CLIPScore of every turn and row of a subset, with a summary: how well the texts fit their images.

    CLIPScore is 2.5 * max(cos, 0); the published one puts A photo depicts before each text, which
    VISDIV_CLIP_TEXT_PREFIX does. For a turn, the score of the best fitting image of its row and the mean over all its
    images are stored; for a row, the minimum and the mean over its turns. Rows without a readable image or a text have
    no score. The metadata says what share the thresholds of LAION and DataComp, made for alt-text, would keep. Without
    CLIP weights nothing is made, and the metadata says why.
    """
    with stage(context, lake, LakeTable.ALIGNMENT, CODE_VERSION) as run:
        store = run.lake
        if reason := missing_vectors(run, clip, LakeTable.CLIP_IMAGE_EMBEDDINGS, LakeTable.CLIP_TEXT_EMBEDDINGS):
            return leave_out(context, store, run.table, reason)
        images = run.require(LakeTable.SUBSET_IMAGES)
        of_images = run.current_embeddings(images, LakeTable.CLIP_IMAGE_EMBEDDINGS)
        of_texts = run.current_embeddings(images, LakeTable.CLIP_TEXT_EMBEDDINGS)
        require_same_weights(of_images, of_texts)
        inputs = digests_by_table(images, of_images, of_texts)
        write = run.write(
            inputs,
            model_id=of_images.model_id,
            settings={"text_model_id": of_texts.model_id},
            source_revision=images.source_revision,
        )
        if not write.reuse("turns", inputs):
            with (
                write.add("turns", inputs) as unit,
                progress(f"aligning {run.partition}", of_texts.rows("turns"), "turn") as advance,
            ):
                unit.table("turns", align_subset(store, images, of_images, of_texts, advance), TURNS_SCHEMA)
        if not write.reuse("rows", inputs):
            with write.add("rows", inputs) as unit:
                rows, summary = summarize_stored_turns(store, images, write.draft())
                unit.table("rows", rows, ROWS_SCHEMA)
                unit.table("summary", summary, SUMMARY_SCHEMA)
        draft = write.draft()
        rows, summary = store.read(draft, "rows"), store.read(draft, "summary")
        sheets = alignment_contact_sheets(ImageReader(store, source.open, decoder.limits), images, rows)
        manifest = write.commit()
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": rows.num_rows,
            "rows_scored": rows.num_rows - rows["cosine_mean"].null_count,
            "turns": pc.sum(rows["turns"]).as_py() or 0,
            "turns_scored": pc.sum(rows["turns_scored"]).as_py() or 0,
            **summary_metrics(summary),
            "filters": table_preview(summary.filter(pc.is_in(summary["measure"], pa.array(["filter", "truncated"])))),
            **{name: sheet_markdown(name.replace("_", " "), sheet) for name, sheet in sheets.items()},
        },
        [check_defects("scores_sound", alignment_defects(rows, int(images.facts["rows"])))],
    )
