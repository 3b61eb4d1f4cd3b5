"""Columns of the synthetic tables of images and ratings, with realistic proportions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.quality import HISTOGRAM_SCHEMA, QUALITY_SCHEMA, RATINGS, RULES_SCHEMA
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.sources.schema import CRITERIA

#: Bytes of an image's PDQ hashes.
PDQ_BYTES = 256

#: Share of images with low information.
LOW_INFORMATION = 0.01

#: Share of grayscale images.
GRAYSCALE = 0.1

#: Ranges of the measures of an image's brightness and sharpness, in the order of their columns.
MEASURES = {
    "brightness": (40.0, 220.0),
    "brightness_p5": (0.0, 250.0),
    "brightness_p99": (70.0, 255.0),
    "contrast": (5.0, 100.0),
    "entropy": (1.0, 8.0),
    "sharpness": (200.0, 6000.0),
    "histogram_deviation": (5.0, 40.0),
}

#: Mean number of turns in a row; FineVision has 88.9 million turns in 24.3 million rows.
MEAN_TURNS = 3.7


def images(
    file: str,
    rows: np.ndarray,
    images_of_row: np.ndarray,
    ids: np.ndarray,
    readable: np.ndarray,
    random: np.random.Generator,
) -> pa.Table:
    """Make the image positions of some rows: table of `IMAGES_SCHEMA`.

    Args:
        file: the name of the file of the rows.
        rows: row numbers, int64 [r], from the first of the file.
        images_of_row: number of positions in each row, int64 [r]; their sum is n.
        ids: image_ids of the positions, S32 [n].
        readable: whether each image is readable, bool [n].
        random: generator of the other columns.
    """
    count = len(ids)
    first = np.repeat(np.cumsum(images_of_row) - images_of_row, images_of_row)
    width, height = (random.integers(200, 2000, count).astype(np.int32) for _ in range(2))
    unread = ~readable
    hashes = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(PDQ_BYTES), count, [None, pa.py_buffer(random.bytes(PDQ_BYTES * count))]
    ).cast(pa.binary())
    nothing = pa.scalar(None, pa.binary())
    row_of_image = np.repeat(rows, images_of_row)
    arrays = [
        pa.array(row_of_image),
        pa.array((np.arange(count) - first).astype(np.int32)),
        pa.array([file] * count, pa.string()),
        pa.array(row_of_image - (rows[0] if len(rows) else 0)),
        pa.nulls(count, pa.string()),
        pa.array(ids.astype(str).tolist(), pa.string()),
        pa.array(np.where(random.random(count) < 0.7, "jpeg", "png").tolist(), pa.string()),
        pa.array(width),
        pa.array(height),
        pa.array(width.astype(np.int64) * height // 8),
        pa.array(np.where(readable, "ok", "truncated").tolist(), pa.string()),
        pa.array(np.where(readable, "", "image file is truncated").tolist(), pa.string()),
        pa.nulls(count, pa.float64()),
        pa.nulls(count, pa.float64()),
        pa.nulls(count, pa.string()),
        *(
            pa.array(random.uniform(low, high, count).astype(np.float32), mask=unread)
            for low, high in MEASURES.values()
        ),
        pa.array(random.random(count) < GRAYSCALE, mask=unread),
        pa.array(random.uniform(5, 90, count).astype(np.float32), mask=unread),
        pa.array(random.integers(1, 513, count).astype(np.int32), mask=unread),
        pa.array(random.random(count) < LOW_INFORMATION, mask=unread),
        pa.compute.if_else(pa.array(readable), hashes, nothing),
    ]
    return pa.table(arrays, schema=IMAGES_SCHEMA)


def ratings(rows: np.ndarray, random: np.random.Generator) -> pa.Table:
    """Make ratings of some rows, none of which is dropped: table of `QUALITY_SCHEMA`."""
    turns = (1 + random.poisson(MEAN_TURNS - 1, len(rows))).astype(np.int32)
    none = np.zeros(len(rows), np.int32)
    rating = random.uniform(1, 5, len(rows)).astype(np.float32)
    kept = np.ones(len(rows), bool)
    return pa.table([rows, turns, turns, kept, rating, *[none] * len(CRITERIA)], schema=QUALITY_SCHEMA)


def histogram(rated: pa.Table) -> pa.Table:
    """Count the ratings, as if every turn had the rating of its row: table of `HISTOGRAM_SCHEMA`."""
    given = np.rint(rated["rating"].to_numpy()).astype(np.int64)
    turns = np.bincount(given, rated["turns"].to_numpy(), minlength=max(RATINGS) + 1).astype(np.int64)
    records = [
        {"criterion": criterion, "rating": rating, "turns": int(turns[rating])}
        for criterion in CRITERIA
        for rating in RATINGS
        if turns[rating]
    ]
    return pa.Table.from_pylist(records, schema=HISTOGRAM_SCHEMA)


def no_rules() -> pa.Table:
    """Return the rule counts of unset thresholds, which drop no rows: table of `RULES_SCHEMA`."""
    none = np.zeros(len(CRITERIA), np.int64)
    return pa.table([pa.array(CRITERIA), none, none], schema=RULES_SCHEMA)
