"""The alignment of a subset's stored CLIP vectors: its turns, its rows, and the subset."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import readable_positions
from visdiv_assets.corpus.tables import LakeTable, remedy
from visdiv_assets.curation.alignment.summary import summarize_rows, summarize_subset, totals_of
from visdiv_assets.curation.alignment.turns import RowImages, align_turns
from visdiv_assets.embedding.clip.checkpoints import same_weights
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


def require_same_weights(images: Manifest, texts: Manifest) -> None:
    """Raise an error unless the same CLIP weights embedded the images and the texts of a subset.

    Args:
        images: manifest of `clip_image_embeddings`.
        texts: manifest of `clip_text_embeddings`.

    Raises:
        ModelError: the weights differ.
    """
    if not same_weights(str(images.model_id), str(texts.model_id)):
        raise ModelError(
            f"the images of {images.partition!r} were embedded with {images.model_id} and its texts with "
            f"{texts.model_id}: {remedy(texts.table, texts.partition)}"
        )


def other_model(subset: str, stored: str, model_id: str) -> ModelError:
    """Return the error for a model that is not the one that embedded the images of a subset.

    Args:
        subset: its name.
        stored: the model of its `clip_image_embeddings`.
        model_id: the model of the settings.
    """
    return ModelError(
        f"the images of {subset!r} were embedded with {stored}, not with {model_id}: "
        f"{remedy(LakeTable.CLIP_IMAGE_EMBEDDINGS, subset)}"
    )


def align_subset(
    lake: Lake, listed: Manifest, images: Manifest, texts: Manifest, progress: Progress = silent
) -> Iterator[pa.RecordBatch]:
    """Compare every turn of a subset with the images of its row.

    Args:
        lake: where the vectors are.
        listed: manifest of `subset_images`.
        images: manifest of `clip_image_embeddings`.
        texts: manifest of `clip_text_embeddings`.
        progress: called with the number of turns finished.

    Yields:
        batches of `turns.TURNS_SCHEMA`, in order.
    """
    known = lake.read(texts, "texts", columns=["text_id", "truncated"])
    for batch in align_turns(
        turns_with_indices(lake, texts, IdIndex(known["text_id"])),
        images_of_rows(lake, listed, images),
        lake.array(images, "vectors"),
        lake.array(texts, "vectors"),
        known["truncated"].to_numpy(),
    ):
        yield batch
        progress(batch.num_rows)


def images_of_rows(lake: Lake, listed: Manifest, images: Manifest) -> RowImages:
    """Return the readable images of each row of a subset, by the indices of their vectors.

    Args:
        lake: where both lie.
        listed: manifest of `subset_images`.
        images: manifest of `clip_image_embeddings`.
    """
    positions = readable_positions(lake, listed)
    vector = IdIndex(lake.read(images, "ids")["image_id"]).rows(positions["image_id"])
    embedded = vector >= 0
    return RowImages(positions["row"].to_numpy()[embedded], vector[embedded])


def summarize_stored_turns(lake: Lake, listed: Manifest, aligned: Manifest) -> tuple[pa.Table, pa.Table]:
    """Summarize the aligned turns of a subset.

    Args:
        lake: where they lie.
        listed: manifest of `subset_images`.
        aligned: manifest with the role `turns`, table of `turns.TURNS_SCHEMA`.

    Returns:
        tables of `summary.ROWS_SCHEMA` and `summary.SUMMARY_SCHEMA`.
    """
    turns = lake.dataset(aligned, "turns")
    rows = summarize_rows(turns.to_batches(), count_images_of_rows(lake, listed))
    texts = turns.count_rows(filter=pc.field("truncated").is_valid())
    summary = summarize_subset(
        turns.to_table(columns=["cosine"])["cosine"].drop_null().to_numpy(),
        rows["cosine_mean"].drop_null().to_numpy(),
        totals_of(rows, texts),
    )
    return rows, summary


def count_images_of_rows(lake: Lake, listed: Manifest) -> np.ndarray:
    """Count the readable images of each row: int64 [rows]."""
    counts: np.ndarray = np.bincount(
        readable_positions(lake, listed)["row"].to_numpy(), minlength=int(listed.facts["rows"])
    )
    return counts


def alignment_defects(rows: pa.Table, expected: int) -> dict[str, int]:
    """Count missing rows, and cosines outside [-1, 1], of a table of `summary.ROWS_SCHEMA`."""
    cosine = rows["cosine_min"].drop_null().to_numpy()
    return {
        "rows_missing": expected - rows.num_rows,
        "out_of_range": int(np.count_nonzero(~(np.abs(cosine) <= 1))),
    }


def summary_metrics(summary: pa.Table) -> dict[str, float]:
    """Return the quantiles and shares of turns in a table of `summary.SUMMARY_SCHEMA`, by name."""
    found = {}
    for record in summary.to_pylist():
        if record["unit"] != "row" and record["share"] is not None:
            quantile = record["measure"] == "quantile"
            name = f"cosine_{record['name']}" if quantile else f"share_{record['name']}"
            found[name] = record["cosine"] if quantile else record["share"]
    return found


def turns_with_indices(lake: Lake, texts: Manifest, indices: IdIndex) -> Iterator[pa.RecordBatch]:
    """Yield the turns of a subset with the indices of their texts' vectors (-1 for none) instead of the text_ids."""
    for batch in lake.dataset(texts, "turns").to_batches(columns=["row", "turn", "text_id"]):
        text = pa.array(indices.rows(batch.column("text_id")))
        yield pa.record_batch([batch.column("row"), batch.column("turn"), text], names=["row", "turn", "text"])
