"""Which rows a clean copy keeps because somebody selected them: the best by stored scores, or those of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.selection.stored_scores import best_share
from visdiv_assets.errors import InputError
from visdiv_assets.storage.lake import Lake

#: Rows of subsets.
ROWS_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64())])

#: The rows that go, as bool [rows] by subset.
DropMasks = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Selection:
    """What selects rows; nothing if all is empty.

    Attributes:
        keep_by: a column of `selection_scores`.
        keep_fraction: the share of the scored rows that it keeps.
        keep_rows: a Parquet file with the columns subset and row; none but its rows stay.
    """

    keep_by: str = ""
    keep_fraction: float = 1.0
    keep_rows: str = ""

    def settings(self) -> dict[str, str | float]:
        """What the selection depends on beside the lake, as settings of a partition.

        Raises:
            InputError: the file cannot be read.
        """
        if self.keep_rows:
            try:
                with Path(self.keep_rows).open("rb") as stream:
                    return {"keep_rows": hashlib.file_digest(stream, "sha256").hexdigest()}
            except OSError as error:
                raise _unreadable(self.keep_rows, error) from error
        return {"keep_by": self.keep_by, "keep_fraction": self.keep_fraction} if self.keep_by else {}

    def drop_masks(self, lake: Lake, rows: Mapping[str, int]) -> DropMasks:
        """The rows that are not selected; empty if nothing selects.

        Args:
            lake: with `selection_scores`, if they decide.
            rows: how many rows each subset has.

        Raises:
            InputError: there are no scores, or they are older than the subsets; or the file is not one of rows.
        """
        if self.keep_rows:
            return _not_in_file(self.keep_rows, rows)
        return _not_best(lake, self.keep_by, self.keep_fraction, rows) if self.keep_by else {}


def as_table(going: DropMasks) -> pa.Table:
    """The rows that go as a table of `ROWS_SCHEMA`."""
    tables = [ROWS_SCHEMA.empty_table()]
    for subset, mask in going.items():
        row = np.flatnonzero(mask)
        tables.append(pa.table([pa.repeat(subset, len(row)), row], schema=ROWS_SCHEMA))
    return pa.concat_tables(tables)


def as_mask(table: pa.Table, subset: str, rows: int) -> np.ndarray:
    """Which rows of a subset are in a table of `ROWS_SCHEMA`: bool [rows]."""
    mask = np.zeros(rows, bool)
    mask[table.filter(pc.equal(table["subset"], subset))["row"].to_numpy()] = True
    return mask


def _not_in_file(path: str, rows: Mapping[str, int]) -> DropMasks:
    try:
        given = pq.read_table(path, columns=ROWS_SCHEMA.names).cast(ROWS_SCHEMA)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise _unreadable(path, error) from error
    named = set(given["subset"].unique().to_pylist())
    if not named & set(rows):
        raise InputError(
            f"VISDIV_KEEP_ROWS={path} has no row of a materialized subset: it would leave nothing; write it again with "
            "`visdiv select --out`"
        )
    for subset in named & set(rows):
        row = given.filter(pc.equal(given["subset"], subset))["row"]
        if row.null_count or pc.min(row).as_py() < 0 or pc.max(row).as_py() >= rows[subset]:
            raise InputError(
                f"VISDIV_KEEP_ROWS={path} names rows that {subset!r} does not have: they go from 0 to "
                f"{rows[subset] - 1}; write it again with `visdiv select --out`"
            )
    return {subset: ~as_mask(given, subset, count) for subset, count in rows.items()}


def _not_best(lake: Lake, keep_by: str, keep_fraction: float, rows: Mapping[str, int]) -> DropMasks:
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None or not manifest.files("scores"):
        raise InputError(
            f"VISDIV_KEEP_BY={keep_by} needs scores made of CLIP vectors: get CLIP weights (VISDIV_CLIP_MODEL) and run "
            "`visdiv run --all`, or set it to nothing"
        )
    scores = lake.read(manifest, "scores", columns=["subset", keep_by])
    if scores[keep_by].null_count == scores.num_rows:
        raise InputError(f"no row has a score by {keep_by}: choose another VISDIV_KEEP_BY, or set it to nothing")
    going = ~best_share(scores, keep_by, keep_fraction)
    names = scores["subset"].combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy()
    held = enumerate(names.dictionary.to_pylist())
    found = {name: going[codes == number] for number, name in held if name in rows}
    for name, of_subset in found.items():
        if len(of_subset) != rows[name]:
            raise InputError(f"selection_scores are older than subset_images of {name!r}: materialize them again")
    return found


def _unreadable(path: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(
        f"VISDIV_KEEP_ROWS={path} is no Parquet file with the columns subset and row ({reason}): write one with "
        "`visdiv select --out`, or set it to nothing"
    )
