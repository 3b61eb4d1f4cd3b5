"""The table `subset_images`: one row for every image position of a subset."""

from __future__ import annotations

from dataclasses import astuple, fields

import numpy as np
import pyarrow as pa

from visdiv_assets.imaging.decode import DecodedImage
from visdiv_assets.imaging.measures import Measures, measure
from visdiv_assets.imaging.pdq import fingerprints
from visdiv_assets.imaging.resize import Reduced

IMAGES_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("file", pa.string()),
        ("row_in_file", pa.int64()),
        ("path", pa.string()),
        ("image_id", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("size_bytes", pa.int64()),
        ("status", pa.string()),
        ("detail", pa.string()),
        ("black_level", pa.float64()),
        ("white_level", pa.float64()),
        ("background", pa.string()),
        ("brightness", pa.float32()),
        ("brightness_p5", pa.float32()),
        ("brightness_p99", pa.float32()),
        ("contrast", pa.float32()),
        ("entropy", pa.float32()),
        ("sharpness", pa.float32()),
        ("histogram_deviation", pa.float32()),
        ("grayscale", pa.bool_()),
        ("brightness_deviation", pa.float32()),
        ("colors", pa.int32()),
        ("low_information", pa.bool_()),
        ("pdq", pa.binary()),
    ]
)

#: The columns that describe a position; the others describe its image.
POSITION_COLUMNS = ("row", "image_index", "file", "row_in_file", "path")

#: The measures of an image that cannot be read.
_UNMEASURED = (None,) * (len(fields(Measures)) + 2)

#: Rows in a batch of the table.
BATCH_ROWS = 1024


def image_bytes(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, pa.Array, pa.Array]:
    """Flatten the images of a batch of rows.

    Args:
        batch: rows with a column `images`: list<struct<bytes, path>>.

    Returns:
        For the m images of the batch: row within the batch, int64 [m]; index within the row, int32 [m]; encoded bytes
        as a binary array [m]; paths as a string array [m].
    """
    column = batch.column("images")
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    index = np.arange(len(rows)) - first[rows]
    entries = column.flatten()
    return rows, index.astype(np.int32), entries.field("bytes"), entries.field("path")


def describe(image_id: str | None, size_bytes: int, decoded: DecodedImage) -> tuple[object, ...]:
    """Describe one image: the columns of `IMAGES_SCHEMA` after `POSITION_COLUMNS`.

    Args:
        image_id: its identity; None if there are no bytes.
        size_bytes: size of the encoded image.
        decoded: the result of decoding it, with pixels. Without pixels its measures are null.
    """
    file = (
        image_id,
        decoded.format,
        decoded.width,
        decoded.height,
        size_bytes,
        str(decoded.status),
        decoded.detail,
        *(decoded.levels or (None, None)),
        decoded.background and str(decoded.background),
    )
    if decoded.pixels is None:
        return *file, *_UNMEASURED
    reduced = Reduced(decoded.pixels)
    measures = measure(decoded.pixels, reduced)
    return *file, *astuple(measures), measures.low_information, fingerprints(reduced.square)
