"""The similarity of each turn's text to the images of its row, and the CLIPScore computed from it.

A row may have several images and several turns. Two values are stored for a turn: the similarity to the image that it
fits best, since a text is mostly about one image, and the mean over all images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import ModelError
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

#: CLIPScore = 2.5 * max(cos, 0), which ranges from 0 to about 1 (Hessel et al. 2021, jmhessel/clipscore).
CLIP_SCORE_SCALE = 2.5

TURNS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("images", pa.int32()),
        ("cosine", pa.float32()),
        ("cosine_mean", pa.float32()),
        ("clip_score", pa.float32()),
        ("clip_score_mean", pa.float32()),
        ("truncated", pa.bool_()),
    ]
)

#: Number of pairs of a turn and an image that are multiplied at a time: 2 x 32 MB at 512 dimensions.
PAIRS_AT_A_TIME = 16_384


@dataclass(frozen=True)
class RowImages:
    """The readable images of a subset's rows.

    Attributes:
        row: int64 [p], ascending.
        vector: int64 [p], index of each image's vector.
    """

    row: np.ndarray
    vector: np.ndarray


def clip_score(cosine: np.ndarray) -> np.ndarray:
    """Return the CLIPScore of cosine similarities, float32 of the same shape; NaN stays NaN."""
    score: np.ndarray = (CLIP_SCORE_SCALE * np.maximum(cosine, 0)).astype(np.float32)
    return score


def align_turns(
    batches: Iterable[pa.RecordBatch], row_images: RowImages, images: Matrix, texts: Matrix, truncated: np.ndarray
) -> Iterator[pa.RecordBatch]:
    """Compare the text of every turn with the images of its row.

    Args:
        batches: turns in order of row: row int64, turn int32, text int64 (index of its vector, -1 for none).
        row_images: the images of the rows.
        images: unit vectors [n, d] that `row_images` refers to.
        texts: unit vectors [m, d] of texts, of the same model.
        truncated: bool [m], True if the text was truncated before it was embedded.

    Yields:
        batches of `TURNS_SCHEMA`, one row per turn. A turn without a text, or in a row without a readable image, has
        nulls; `truncated` is null without a text.

    Raises:
        ModelError: images and texts have vectors of different dimensions.
        InputError: a vector is not finite.
    """
    if images.shape[0] and texts.shape[0] and images.shape[1] != texts.shape[1]:
        raise ModelError(
            f"vectors of images have {images.shape[1]} dimensions and those of texts {texts.shape[1]}: embed both with "
            "the same model"
        )
    for batch in batches:
        row, text = batch.column("row").to_numpy(), batch.column("text").to_numpy()
        first, end = np.searchsorted(row_images.row, [row, row + 1])
        count = end - first
        best, mean, mean_score = (np.full(len(row), np.nan, np.float32) for _ in range(3))
        scored = np.flatnonzero((count > 0) & (text >= 0))
        for chosen in _split(scored, count[scored]):
            cosine, starts = _cosines(chosen, first, count, text, row_images.vector, images, texts)
            best[chosen] = np.maximum.reduceat(cosine, starts)
            mean[chosen] = np.add.reduceat(cosine, starts) / count[chosen]
            mean_score[chosen] = np.add.reduceat(clip_score(cosine), starts) / count[chosen]
        cut = truncated[text] if len(truncated) else np.zeros(len(text), bool)
        yield pa.record_batch(
            [
                batch.column("row"),
                batch.column("turn"),
                pa.array(count.astype(np.int32)),
                pa.array(best, from_pandas=True),
                pa.array(mean, from_pandas=True),
                pa.array(clip_score(best), from_pandas=True),
                pa.array(mean_score, from_pandas=True),
                pa.array(cut, mask=text < 0),
            ],
            schema=TURNS_SCHEMA,
        )


def _split(turns: np.ndarray, images: np.ndarray) -> Iterator[np.ndarray]:
    """Split turns into parts of about `PAIRS_AT_A_TIME` pairs each; the pairs of a turn stay together."""
    part = (np.cumsum(images) - 1) // PAIRS_AT_A_TIME
    if len(turns):
        yield from np.split(turns, np.flatnonzero(np.diff(part)) + 1)


def _cosines(
    chosen: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    text: np.ndarray,
    vector: np.ndarray,
    images: Matrix,
    texts: Matrix,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the similarities of turns with each of their images, one after the other, and where each turn begins."""
    counts = count[chosen]
    starts = np.cumsum(counts) - counts
    of_turn = np.repeat(np.arange(len(chosen)), counts)
    position = first[chosen][of_turn] + np.arange(len(of_turn)) - starts[of_turn]
    distinct, index = np.unique(vector[position], return_inverse=True)
    x = check_matrix(as_float32(images[distinct]), 0)
    y = check_matrix(as_float32(texts[text[chosen]]), 0)
    cosine: np.ndarray = np.einsum("nd,nd->n", x[index], y[of_turn])
    # Stored vectors are rounded to float16, so a product may exceed [-1, 1] by 1e-3.
    return np.clip(cosine, -1, 1), starts
