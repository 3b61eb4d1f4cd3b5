"""The types of the images of a subset, by their features or by CLIP, at every position."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import readable_positions
from visdiv_assets.curation.image_types.by_features import MEASURES, FeatureWeights, feature_matrix
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.type_features import type_features
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.blobs import StoredBlobs
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.threads import ordered_map

#: The type of a different image.
IMAGES_SCHEMA = pa.schema([("image_id", pa.string()), ("type", pa.string()), ("score", pa.float32())])
#: The same at every position of a readable image, and the method that found it.
POSITION_FIELDS = (("row", pa.int64()), ("image_index", pa.int32()), ("image_id", pa.string()))
POSITIONS_SCHEMA = pa.schema(
    [*POSITION_FIELDS, ("method", pa.string()), ("type", pa.string()), ("score", pa.float32())]
)

#: The values of `method`: by `by_features`, or by `zero_shot`.
METHODS = ("features", "clip")

#: Thumbnails that are read at a time, some 10 kB each.
THUMBNAILS_AT_A_TIME = 512
#: Positions in a batch.
POSITIONS_AT_A_TIME = 65_536


def measures_by_image(lake: Lake, images: Manifest) -> tuple[IdIndex, pa.Table]:
    """Return the quality measures of the readable positions of a subset, and an index of their image_ids."""
    listed = lake.read(images, columns=["image_id", *MEASURES], where=pc.field("status") == "ok")
    return IdIndex(listed["image_id"]), listed.select(list(MEASURES))


def types_by_features(
    ids: pa.ChunkedArray,
    thumbnails: StoredBlobs,
    measures: tuple[IdIndex, pa.Table],
    weights: FeatureWeights,
    *,
    threads: int = 1,
    progress: Progress = silent,
) -> Iterator[pa.RecordBatch]:
    """Yield the types of images: batches of `IMAGES_SCHEMA`.

    Args:
        ids: image_ids [n].
        thumbnails: their thumbnails [n].
        measures: result of `measures_by_image`; an image that it lacks has no type.
        weights: of the regression.
        threads: that measure thumbnails.
        progress: called with the number of images finished.
    """
    index, table = measures
    for start in range(0, len(thumbnails), THUMBNAILS_AT_A_TIME):
        part = ids.slice(start, THUMBNAILS_AT_A_TIME).combine_chunks()
        stored = thumbnails.read(np.arange(start, start + len(part)))
        measured = np.stack(list(ordered_map(type_features, stored, threads=threads)))
        rows = index.rows(part)
        of_images = table.take(pa.array(rows, mask=rows < 0))
        types, scores = weights.classify(feature_matrix(measured, of_images))
        yield pa.record_batch([part, types, scores], schema=IMAGES_SCHEMA)
        progress(len(part))


def with_method(method: str, types: pa.ChunkedArray, scores: pa.ChunkedArray) -> pa.Table:
    """Return types and scores as a table of the columns of `POSITIONS_SCHEMA` that are not of the position."""
    names = pa.DictionaryArray.from_arrays(np.zeros(len(types), np.int8), pa.array([method])).cast(pa.string())
    return pa.table({"method": names, "type": types, "score": scores})


def at_positions(lake: Lake, images: Manifest, ids: pa.ChunkedArray, values: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield what is known of images at each position: row, image_index, image_id, and the columns of the values.

    Args:
        lake: where the positions are.
        images: manifest of `subset_images`; positions of unreadable images are left out.
        ids: image_ids [n], each once.
        values: table [n] of what is known of each; null where a position's image is not among them.
    """
    positions, index = readable_positions(lake, images), IdIndex(ids)
    for start in range(0, positions.num_rows, POSITIONS_AT_A_TIME):
        part = positions.slice(start, POSITIONS_AT_A_TIME).select(["row", "image_index", "image_id"])
        rows = index.rows(part["image_id"])
        found = values.take(pa.array(rows, mask=rows < 0))
        columns = [*part.columns, *found.columns]
        names = [*part.column_names, *found.column_names]
        yield from pa.table(columns, names=names).combine_chunks().to_batches()
