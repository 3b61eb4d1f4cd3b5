"""Build the table of the points of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.publishing.maps.clusters import find_clusters, name_by_turns
from visdiv_assets.publishing.maps.layout import layout, possible_layouts
from visdiv_assets.texts.templates import Turn
from visdiv_assets.vectors.matrix import Matrix

POINTS_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("layout", pa.string()),
        ("id", pa.string()),
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("cluster", pa.int32()),
        ("cluster_name", pa.string()),
    ]
)


@dataclass(frozen=True)
class Sampled:
    """The vectors that a map shows, and the first position of each.

    Attributes:
        kind: sscd, clip_image or clip_text.
        vectors: unit vectors [n, d].
        number: int64 [m], indices of the vectors that are shown.
        ids: [m], their image_ids or text_ids.
        row: int64 [m], the first row that holds each.
        image_index: [m], index of the image in that row; None for a text.
    """

    kind: str
    vectors: Matrix
    number: np.ndarray
    ids: Sequence[str]
    row: np.ndarray
    image_index: Sequence[int | None]


def map_points(
    shown: Sampled, turns: Sequence[Sequence[Turn]], layouts: tuple[str, ...], template_images: int
) -> pa.Table:
    """Lay a sample out, find its clusters on the first layout, and name them by the turns of their rows.

    All layouts have the clusters of the first one, so that a cluster can be found again on each.

    Args:
        shown: the sample, of m vectors.
        turns: [m], the turns of the rows.
        layouts: names out of `layout.LAYOUTS`, one or more; of fewer than `layout.MIN_FOR_NEIGHBORS` vectors, PCA is
            the only one.
        template_images: minimum number of rows in which a question that names no cluster stands.

    Returns:
        table of `POINTS_SCHEMA`, with m rows for each layout, in order.

    Raises:
        ModelError: a vector is not finite.
        ConfigError: umap-learn or scikit-learn is not installed.
    """
    names = possible_layouts(layouts, len(shown.number))
    coordinates = [layout(shown.vectors, shown.number, name) for name in names]
    cluster = find_clusters(coordinates[0])
    named = name_by_turns(turns, cluster, template_images)
    cluster_name = [named[index] if index >= 0 else "" for index in cluster]
    count = len(shown.number)
    tables = [POINTS_SCHEMA.empty_table()]
    for name, of_layout in zip(names, coordinates, strict=True):
        columns = [
            [shown.kind] * count,
            [name] * count,
            shown.ids,
            shown.row,
            shown.image_index,
            of_layout[:, 0],
            of_layout[:, 1],
            cluster,
            cluster_name,
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, POINTS_SCHEMA, strict=True)]
        tables.append(pa.table(arrays, schema=POINTS_SCHEMA))
    return pa.concat_tables(tables)
