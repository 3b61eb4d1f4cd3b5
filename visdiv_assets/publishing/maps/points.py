"""A map as rows."""

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
    """What a map shows: some vectors, and where each was first seen.

    Attributes:
        kind: sscd, clip_image or clip_text.
        vectors: unit vectors [n, d].
        number: int64 [m], which of them are shown.
        ids: [m], their identities.
        row: int64 [m], first row of each.
        image_index: [m], place in that row; None for a text.
    """

    kind: str
    vectors: Matrix
    number: np.ndarray
    ids: Sequence[str]
    row: np.ndarray
    image_index: Sequence[int | None]


def map_points(shown: Sampled, texts: Sequence[str]) -> pa.Table:
    """Lay a sample out, find its clusters and name them by the texts [m] of their rows: table of `POINTS_SCHEMA`.

    Raises:
        VisdivError: a vector is not finite.
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
        [names[number] if number >= 0 else "" for number in cluster],
    ]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, POINTS_SCHEMA, strict=True)],
        schema=POINTS_SCHEMA,
    )
