"""The table `subset_images`: one row for every image position of a subset."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow as pa

from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.information import signals
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.pdq import fingerprints
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

IMAGES_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("format", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("size_bytes", pa.int64()),
        ("status", pa.string()),
        ("detail", pa.string()),
        ("brightness_deviation", pa.float32()),
        ("colors", pa.int32()),
        ("low_information", pa.bool_()),
        ("pdq", pa.binary()),
    ]
)

#: Rows in a batch of the table.
BATCH_ROWS = 1024

#: Row, index within the row, encoded bytes.
_Position = tuple[int, int, bytes | None]


def image_bytes(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Flatten the images of a batch of rows.

    Args:
        batch: rows with a column `images`: list<struct<bytes, path>>.

    Returns:
        For the m images of the batch: row within the batch, int64 [m]; index within the row, int32 [m]; encoded bytes
        as a binary array [m].
    """
    column = batch.column("images")
    lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    index = np.arange(len(rows)) - first[rows]
    return rows, index.astype(np.int32), column.flatten().field("bytes")


def list_images(
    batches: Iterable[pa.RecordBatch],
    *,
    first_row: int,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> Generator[pa.RecordBatch, None, None]:
    """Decode every image and describe it, or the reason why it is unreadable.

    Args:
        batches: rows in order, with a column `images`; consumed lazily.
        first_row: row number in the subset of the first row.
        threads: number of threads that decode.
        limits: an image that exceeds them gets the status `too_large`.
        progress: called with the number of rows read.

    Yields:
        batches of `IMAGES_SCHEMA`, in order.
    """

    def images() -> Iterator[_Position]:
        first = first_row
        for batch in batches:
            rows, index, encoded = image_bytes(batch)
            for i in range(len(encoded)):
                yield first + int(rows[i]), int(index[i]), encoded[i].as_py()
            first += batch.num_rows
            progress(batch.num_rows)

    def describe(position: _Position) -> tuple[object, ...]:
        row, index, data = position
        decoded = decode_image(data, limits=limits)
        seen = signals(decoded.pixels) if decoded.pixels else None
        return (
            row,
            index,
            None if data is None else image_id(data),
            decoded.format,
            decoded.width,
            decoded.height,
            0 if data is None else len(data),
            str(decoded.status),
            decoded.detail,
            seen.brightness_deviation if seen else None,
            seen.colors if seen else None,
            seen.low_information if seen else None,
            fingerprints(decoded.pixels) if decoded.pixels else None,
        )

    described = ordered_map(describe, images(), threads=threads)
    while rows := list(islice(described, BATCH_ROWS)):
        arrays = [
            pa.array(values, type=field.type)
            for values, field in zip(zip(*rows, strict=True), IMAGES_SCHEMA, strict=True)
        ]
        yield pa.record_batch(arrays, schema=IMAGES_SCHEMA)
