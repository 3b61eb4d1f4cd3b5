"""Build the table of the points of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.publishing.maps.clusters import cluster_names, find_clusters
from visdiv_assets.publishing.maps.layout import layout
from visdiv_assets.vectors.matrix import Matrix

POINTS_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
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


def map_points(shown: Sampled, texts: Sequence[str]) -> pa.Table:
    """Lay a sample out, find its clusters and name them by the texts of their rows.

    Args:
        shown: the sample, of m vectors.
        texts: [m], the texts of the rows.

    Returns:
        table of `POINTS_SCHEMA`.

    Raises:
        ModelError: a vector is not finite.
        ConfigError: umap-learn or scikit-learn is not installed.
    """
    places = layout(shown.vectors, shown.number)
    cluster = find_clusters(places)
    names = cluster_names(texts, cluster)
    columns = [
        [shown.kind] * len(places),
        shown.ids,
        shown.row,
        shown.image_index,
        places[:, 0],
        places[:, 1],
        cluster,
        [names[index] if index >= 0 else "" for index in cluster],
    ]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, POINTS_SCHEMA, strict=True)],
        schema=POINTS_SCHEMA,
    )
