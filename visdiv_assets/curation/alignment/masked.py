"""How well texts fit images whose own text was painted over (T-MARS, Maini et al. 2023, arXiv 2307.03132).

Where the similarity of a text and an image falls much, it was mostly the image's text that fitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.alignment.turns import PAIRS_AT_A_TIME, clip_score
from visdiv_assets.vectors.matrix import Matrix, as_float32, check_matrix

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("turn", pa.int32()),
        ("cosine", pa.float32()),
        ("cosine_masked", pa.float32()),
        ("clip_score", pa.float32()),
        ("clip_score_masked", pa.float32()),
    ]
)


class MaskedImages(NamedTuple):
    """Images with text, in order of row and image_index.

    Attributes:
        positions: table of row, image_index, image_id [n].
        plain: int64 [n], index of each image's vector; -1 for none.
        masked: int64 [n], index of the vector of the image without its text; -1 for none.
    """

    positions: pa.Table
    plain: np.ndarray
    masked: np.ndarray


def compare_masked(
    batches: Iterable[pa.RecordBatch], images: MaskedImages, plain: Matrix, masked: Matrix, texts: Matrix
) -> Iterator[pa.RecordBatch]:
    """Compare the text of each turn with the images of its row, as they are and with their text masked.

    Args:
        batches: turns in order of row: row int64, turn int32, text int64 (index of its vector, -1 for none).
        images: the images with text.
        plain: unit vectors of images as they are.
        masked: unit vectors of images with their text masked, of the same model.
        texts: unit vectors of texts, of the same model.

    Yields:
        batches of `SCHEMA`, a row for each turn and image with text of its row; without both vectors, a similarity is
        null.

    Raises:
        InputError: a vector is not finite.
    """
    row_of_image = images.positions["row"].to_numpy()
    for batch in batches:
        row, text = batch.column("row").to_numpy(), batch.column("text").to_numpy()
        first, end = np.searchsorted(row_of_image, [row, row + 1])
        count = end - first
        turn = np.repeat(np.arange(len(row)), count)
        image = first[turn] + np.arange(len(turn)) - (np.cumsum(count) - count)[turn]
        for start in range(0, len(turn), PAIRS_AT_A_TIME):
            turns, chosen = turn[start : start + PAIRS_AT_A_TIME], image[start : start + PAIRS_AT_A_TIME]
            cosines = [
                _cosines(index[chosen], vectors, text[turns], texts)
                for index, vectors in ((images.plain, plain), (images.masked, masked))
            ]
            position = images.positions.take(chosen).combine_chunks()
            columns = [
                *(position[name].combine_chunks() for name in ("row", "image_index", "image_id")),
                batch.column("turn").take(pa.array(turns)),
                *(pa.array(values, from_pandas=True) for values in (*cosines, *map(clip_score, cosines))),
            ]
            yield pa.record_batch(columns, schema=SCHEMA)


def _cosines(image: np.ndarray, images: Matrix, text: np.ndarray, texts: Matrix) -> np.ndarray:
    """Return the similarities of pairs by their indices, int64 [n] each: float32 [n], NaN where an index is -1."""
    found = np.full(len(image), np.nan, np.float32)
    has = np.flatnonzero((image >= 0) & (text >= 0))
    if len(has):
        x = check_matrix(as_float32(images[image[has]]), 0)
        y = check_matrix(as_float32(texts[text[has]]), 0)
        # Stored vectors are rounded to float16, so a product may exceed [-1, 1] by 1e-3.
        found[has] = np.clip(np.einsum("nd,nd->n", x, y), -1, 1)
    return found
