"""Columns that say of each row whether a clean copy keeps it, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources.interface import StoredShard

_PREFIX = "visdiv_"

#: The columns: whether the row is kept; if not, the first finding on it, null otherwise. The witness is "subset, row 3,
#: image 0", or without row or image where the finding has none.
TAG_FIELDS = [
    pa.field(f"{_PREFIX}kept", pa.bool_()),
    pa.field(f"{_PREFIX}reason", pa.string()),
    pa.field(f"{_PREFIX}detail", pa.string()),
    pa.field(f"{_PREFIX}witness", pa.string()),
    pa.field(f"{_PREFIX}evidence", pa.string()),
    pa.field(f"{_PREFIX}confidence", pa.float32()),
    pa.field(f"{_PREFIX}similarity", pa.float32()),
]


def tag_rows(kept: np.ndarray, dropped: pa.Table, first_row: int) -> pa.Table:
    """Return the columns `TAG_FIELDS` of the rows of a shard.

    Args:
        kept: bool [n], of the rows of the shard.
        dropped: the dropped rows of the subset, with the columns of `export.DROPPED_SCHEMA`.
        first_row: index of the shard's first row in the subset.
    """
    rows, first = np.unique(dropped["row"].to_numpy(), return_index=True)
    inside = (rows >= first_row) & (rows < first_row + len(kept))
    index = np.zeros(len(kept), np.int64)
    index[rows[inside] - first_row] = first[inside]
    found = dropped.take(pa.array(index, mask=kept))
    columns = {"kept": pa.array(kept), "witness": witness_names(found)}
    names = [field.name.removeprefix(_PREFIX) for field in TAG_FIELDS]
    return pa.table([columns[name] if name in columns else found[name] for name in names], schema=pa.schema(TAG_FIELDS))


def witness_names(dropped: pa.Table) -> pa.ChunkedArray:
    """Return the witnesses of dropped rows as "subset, row 3, image 0", less what they lack; null without witness."""
    labels = ((", row ", "witness_row"), (", image ", "witness_image"))
    parts = (
        pc.fill_null(pc.binary_join_element_wise(label, pc.cast(dropped[name], pa.string()), ""), "")
        for label, name in labels
    )
    return pc.binary_join_element_wise(dropped["witness"], *parts, "")


def with_tags(stored: StoredShard, tags: pa.Table) -> StoredShard:
    """Return a shard with the columns of `tag_rows` appended.

    Raises:
        VisdivError: the shard has a column of such a name.
    """
    taken = [field.name for field in TAG_FIELDS if field.name in stored.schema.names]
    if taken:
        raise VisdivError(f"the source has a column {taken[0]} already: export it without --tagged")
    schema = pa.schema([*stored.schema, *TAG_FIELDS], stored.schema.metadata)

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in stored.batches:
            part = tags.slice(start, batch.num_rows)
            start += batch.num_rows
            columns = [column.combine_chunks() for column in part.columns]
            yield pa.record_batch([*batch.columns, *columns], schema=schema)

    return replace(stored, schema=schema, batches=batches())
