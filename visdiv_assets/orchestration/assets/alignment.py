"""How well the texts of a subset fit their images."""

from collections.abc import Iterator, Sequence

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImagePosition, fetch_decoded
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.alignment.summary import (
    ROWS_SCHEMA,
    SUMMARY_SCHEMA,
    summarize_rows,
    summarize_subset,
    totals_of,
)
from visdiv_assets.curation.alignment.turns import TURNS_SCHEMA, RowImages, align_turns
from visdiv_assets.embedding.clip.checkpoints import same_weights
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.contact_sheet import ImageTile, image_sheet, thumbnail_data_uri
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    materialized,
    readable_positions,
    table_preview,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import DecoderResource, LakeResource, SourceResource
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.texts import row_texts
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

CODE_VERSION = "1"

#: Characters of a row's texts below its image; what does not fit is shortened there.
TEXT_SHOWN = 80
ROWS_SHOWN = 12
#: As text, in base64, it is a third larger, and has to stay below 100 kB.
SHEET_BYTES = 72_000


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
            description="Every row of the subset has one entry, and every similarity lies between -1 and 1.",
        )
    ],
)
def alignment(
    context: dg.AssetExecutionContext, source: SourceResource, lake: LakeResource, decoder: DecoderResource
) -> dg.MaterializeResult:
    """How well the texts of a subset fit their images: CLIPScore of every turn, row, and the subset.

    CLIPScore is 2.5 * max(cos, 0). Of a turn it is stored for the image of its row that it fits best, and as the mean
    over all of them; of a row the smallest and the mean over its turns. Rows without readable images or texts have
    none. The thresholds of LAION and DataComp say how much each would keep; they were made for alt-text.
    """
    subset = context.partition_key
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        imaged = current_embeddings(store, images, LakeTable.CLIP_IMAGE_EMBEDDINGS)
        worded = current_embeddings(store, images, LakeTable.CLIP_TEXT_EMBEDDINGS)
        _require_same_weights(imaged, worded)
        inputs = {part.table: part.digest for part in (images, imaged, worded)}
        write = store.write(
            LakeTable.ALIGNMENT,
            subset,
            code_version=CODE_VERSION,
            inputs=inputs,
            model_id=imaged.model_id,
            settings={"text_model_id": worded.model_id},
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        if not write.reuse("turns", inputs):
            with write.add("turns", inputs) as unit:
                unit.table("turns", _aligned(store, images, imaged, worded), TURNS_SCHEMA)
        if not write.reuse("rows", inputs):
            with write.add("rows", inputs) as unit:
                turns = store.dataset(write.draft(), "turns")
                rows = summarize_rows(turns.to_batches(), _images_of_rows(store, images))
                texts = turns.count_rows(filter=pc.field("truncated").is_valid())
                summary = summarize_subset(
                    turns.to_table(columns=["cosine"])["cosine"].drop_null().to_numpy(),
                    rows["cosine_mean"].drop_null().to_numpy(),
                    totals_of(rows, texts),
                )
                unit.table("rows", rows, ROWS_SCHEMA)
                unit.table("summary", summary, SUMMARY_SCHEMA)
        draft = write.draft()
        rows, summary = store.read(draft, "rows"), store.read(draft, "summary")
        sheets = _row_sheets(store, source.open(), images, rows, decoder)
        manifest = write.commit()
    defects = _defects(rows, int(images.facts["rows"]))
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": rows.num_rows,
            "rows_scored": rows.num_rows - rows["cosine_mean"].null_count,
            "turns": pc.sum(rows["turns"]).as_py() or 0,
            "turns_scored": pc.sum(rows["turns_scored"]).as_py() or 0,
            **_numbers(summary),
            "filters": table_preview(summary.filter(pc.is_in(summary["measure"], pa.array(["filter", "truncated"])))),
            **sheets,
        },
        [dg.AssetCheckResult(check_name="scores_sound", passed=not any(defects.values()), metadata=defects)],
    )


def _aligned(store: Lake, images: Manifest, imaged: Manifest, worded: Manifest) -> Iterator[pa.RecordBatch]:
    positions = readable_positions(store, images)
    vector = IdIndex(store.read(imaged, "ids")["image_id"]).rows(positions["image_id"])
    there = vector >= 0
    texts = store.read(worded, "texts", columns=["text_id", "truncated"])
    with progress(f"aligning {images.partition}", worded.rows("turns"), "turn") as advance:
        for batch in align_turns(
            _numbered(store, worded, IdIndex(texts["text_id"])),
            RowImages(positions["row"].to_numpy()[there], vector[there]),
            store.array(imaged, "vectors"),
            store.array(worded, "vectors"),
            texts["truncated"].to_numpy(),
        ):
            yield batch
            advance(batch.num_rows)


def _numbered(store: Lake, worded: Manifest, numbers: IdIndex) -> Iterator[pa.RecordBatch]:
    """The turns with the numbers of their texts' vectors in the place of the text_ids."""
    for batch in store.dataset(worded, "turns").to_batches(columns=["row", "turn", "text_id"]):
        text = pa.array(numbers.rows(batch.column("text_id")))
        yield pa.record_batch([batch.column("row"), batch.column("turn"), text], names=["row", "turn", "text"])


def _images_of_rows(store: Lake, images: Manifest) -> np.ndarray:
    """How many readable images each row has, int64 [rows]."""
    counts: np.ndarray = np.bincount(
        readable_positions(store, images)["row"].to_numpy(), minlength=int(images.facts["rows"])
    )
    return counts


def _numbers(summary: pa.Table) -> dict[str, float]:
    """The quantiles of turns, and shares, as numbers that the UI can follow over time."""
    found = {}
    for record in summary.to_pylist():
        if record["unit"] != "row" and record["share"] is not None:
            quantile = record["measure"] == "quantile"
            name = f"cosine_{record['name']}" if quantile else f"share_{record['name']}"
            found[name] = record["cosine"] if quantile else record["share"]
    return found


def _defects(rows: pa.Table, expected: int) -> dict[str, int]:
    cosine = rows["cosine_min"].drop_null().to_numpy()
    return {
        "rows_missing": expected - rows.num_rows,
        "out_of_range": int(np.count_nonzero(~(np.abs(cosine) <= 1))),
    }


def _row_sheets(
    store: Lake, source: Source, images: Manifest, rows: pa.Table, decoder: DecoderResource
) -> dict[str, dg.MetadataValue]:
    """The rows whose texts fit worst and best, with their first image and the start of their texts."""
    scored = rows.filter(pc.is_valid(rows["cosine_mean"]))
    sheets: dict[str, dg.MetadataValue] = {}
    for name, order in (("worst_rows", "ascending"), ("best_rows", "descending")):
        sorting = [("cosine_mean", order), ("row", "ascending")]
        chosen = scored.take(pc.select_k_unstable(scored, k=min(ROWS_SHOWN, scored.num_rows), sort_keys=sorting))
        places = _places_of_rows(store, images, chosen["row"].to_pylist())
        texts = row_texts(source, Kind.SUBSET, images.partition, places)
        decoded = fetch_decoded(source, Kind.SUBSET, list(places.values()), limits=decoder.limits)
        tiles = [
            ImageTile(
                decoded[places[record["row"]]],
                [f"row {record['row']}  {record['clip_score_mean']:.3f}", texts[record["row"]][:TEXT_SHOWN]],
            )
            for record in chosen.to_pylist()
        ]
        if tiles:
            sheet = thumbnail_data_uri(image_sheet(tiles, max_bytes=SHEET_BYTES))
            sheets[name] = dg.MetadataValue.md(f"![{name.replace('_', ' ')}]({sheet})")
    return sheets


def _places_of_rows(store: Lake, images: Manifest, rows: Sequence[int]) -> dict[int, ImagePosition]:
    """The first readable image of some rows."""
    listed = store.read(
        images,
        columns=["row", "image_index", "image_id"],
        where=(pc.field("status") == "ok") & pc.field("row").isin(pa.array(rows, pa.int64())),
    )
    found: dict[int, ImagePosition] = {}
    for record in listed.to_pylist():
        found.setdefault(record["row"], ImagePosition(images.partition, *record.values()))
    return found


def _require_same_weights(imaged: Manifest, worded: Manifest) -> None:
    if not same_weights(str(imaged.model_id), str(worded.model_id)):
        raise VisdivError(
            f"the images of {imaged.partition!r} were embedded with {imaged.model_id} and its texts with "
            f"{worded.model_id}: materialize both again with the same VISDIV_CLIP_MODEL"
        )
