"""CLIPScore of texts without their numbers, which CLIP matches badly.

Source: Xu et al. 2023, "Devil in the Number: Towards Robust Multi-modality Data Filter": numbers in a text change its
CLIP score without saying more about the image, so rows are ranked by the score of the text without numbers. What is
masked beside digits is not published; see `mask_numbers`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.turns import ShardTurns, stored_turns
from visdiv_assets.curation.alignment.subset import count_images_of_rows, images_of_rows, require_same_weights
from visdiv_assets.curation.alignment.summary import summarize_rows
from visdiv_assets.curation.alignment.turns import align_turns
from visdiv_assets.embedding import ClipTexts
from visdiv_assets.embedding.turns import KnownTexts, ShardTexts, embed_turns
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.id_index import IdIndex, IdSet
from visdiv_assets.sources.conversations import TURN
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.threads import thread_count

#: Digits of any script, with what joins them to one number (1,250.5, 10:30, 2023-05-04), a sign and a percent sign.
NUMBER = r"[-+]?\p{Nd}+(?:[.,:/-]\p{Nd}+)*%?"


def mask_numbers(texts: pa.Array) -> pa.Array:
    """Remove the numbers of texts, and the white space that is then doubled or at an end; null stays null.

    Numbers in words ("three") and letters beside digits ("mp3" -> "mp") stay.
    """
    without = pc.replace_substring_regex(texts, NUMBER, "")
    # Texts without a number keep their white space, so that they stay the texts that were embedded.
    tidy = pc.utf8_trim_whitespace(pc.replace_substring_regex(without, r"\s+", " "))
    return pc.if_else(pc.equal(without, texts), texts, tidy)


def number_masked_scores(
    lake: Lake,
    listed: Manifest,
    turns: Manifest,
    images: Manifest,
    texts: Manifest,
    embedder: ClipTexts,
) -> np.ndarray:
    """Compute the mean CLIPScore of the turns of each row, with numbers masked.

    Only texts with a number are embedded; the vectors of the others are stored. One shard is in memory at a time.

    Args:
        lake: where all lie.
        listed: manifest of `subset_images`.
        turns: manifest of `subset_turns`.
        images: manifest of `clip_image_embeddings`.
        texts: manifest of `clip_text_embeddings`.
        embedder: the text tower that made the vectors of texts.

    Returns:
        float32 [rows], NaN for a row without a readable image, or without a text that has more than numbers.

    Raises:
        ModelError: the stored vectors are of another model, or texts were embedded otherwise.
    """
    require_same_weights(images, texts)
    if texts.model_id != embedder.model_id:
        raise ModelError(
            f"the texts of {texts.partition!r} were embedded with {texts.model_id}, but the settings name "
            f"{embedder.model_id}: set the model and prefix that made them, or materialize {texts.table} again"
        )
    known = KnownTexts(lake, texts, embedder.model_id)
    row_images = images_of_rows(lake, listed, images)
    vectors = lake.array(images, "vectors")

    def scored() -> Iterator[pa.RecordBatch]:
        for shard in stored_turns(lake, turns):
            masked = embed_turns(
                _masked(shard),
                embedder,
                first_row=shard.first_row,
                which=str(texts.settings["text"]),
                seen=IdSet(),
                known=known,
                threads=thread_count(0),
            )
            truncated = masked.texts["truncated"].to_numpy()
            yield from align_turns(_with_indices(masked), row_images, vectors, masked.vectors, truncated)

    rows = summarize_rows(scored(), count_images_of_rows(lake, listed))
    scores: np.ndarray = rows["clip_score_mean"].to_numpy()
    return scores


def _masked(shard: ShardTurns) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a shard with masked texts."""
    for batch in shard.batches(["texts"]):
        lists = batch.column("texts")
        flat = lists.flatten()
        fields = [mask_numbers(flat.field(name)) for name in ("user", "assistant")]
        masked = pa.StructArray.from_arrays(fields, fields=list(TURN))
        counts = pc.fill_null(lists.value_lengths(), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        yield pa.record_batch([pa.ListArray.from_arrays(offsets, masked, mask=pc.is_null(lists))], names=["texts"])


def _with_indices(masked: ShardTexts) -> Iterator[pa.RecordBatch]:
    """Yield the turns with the indices of their texts' vectors instead of the text_ids."""
    index = IdIndex(masked.texts["text_id"])
    for batch in masked.turns.to_batches(max_chunksize=8192):
        text = pa.array(index.rows(batch.column("text_id")))
        yield pa.record_batch([batch.column("row"), batch.column("turn"), text], names=["row", "turn", "text"])
