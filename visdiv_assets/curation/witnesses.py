"""Witnesses of dropped duplicates: the image in a kept row that makes each of them redundant."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.curation.export import DROPPED_SCHEMA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


def duplicate_rows(positions: pa.Table, subset: str) -> pa.Table:
    """Return one position for each duplicate row of a subset: that of its first image that another row holds.

    Args:
        positions: table of `decisions.POSITIONS_SCHEMA`, in order of position.
        subset: its name.
    """
    duplicates = positions.filter(pc.and_(pc.equal(positions["subset"], subset), positions["row_duplicate"]))
    indexed = duplicates.append_column("index", pa.array(range(duplicates.num_rows), pa.int64()))
    copies = indexed.filter(pc.is_in(indexed["reason"], pa.array(["exact_copy", "near_copy"])))
    first = copies.group_by("row", use_threads=False).aggregate([("index", "min")])["index_min"]
    return duplicates.take(first)


def count_dropped_witnesses(dropped: pa.Table) -> int:
    """Count the dropped duplicates whose witness is in a dropped row, table of `DROPPED_SCHEMA`."""
    witnesses = dropped.filter(pc.equal(dropped["witness_kind"], "subset")).select(["witness", "witness_row"])
    rows = dropped.select(["subset", "row"])
    return int(witnesses.join(rows, ["witness", "witness_row"], ["subset", "row"], join_type="left semi").num_rows)


def read_dropped_rows(lake: Lake, curated: Manifest | None) -> pa.Table:
    """Read subset, row and reason of every dropped row; none if `curated_rows` was never materialized."""
    if curated is None or not curated.files("dropped"):
        return DROPPED_SCHEMA.empty_table().select(["subset", "row", "reason"])
    return lake.read(curated, "dropped", columns=["subset", "row", "reason"])
