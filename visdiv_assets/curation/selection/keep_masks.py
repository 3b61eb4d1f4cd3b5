"""The rows that a selection keeps in a clean copy: the best by stored scores, or those listed in a file."""

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
from visdiv_assets.curation.selection.row_identity import IDENTIFIED_SCHEMA, find_rows, images_of_rows
from visdiv_assets.curation.selection.stored_scores import keep_fraction_of_scored, require_scores_of
from visdiv_assets.errors import ConfigError, NotMaterializedError
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Schema of a table that lists rows.
ROWS_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64())])

#: Masks by subset, bool [rows], True for each dropped row.
DropMasks = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Selection:
    """Settings that select rows; the default selects all.

    Attributes:
        keep_by: a column of `selection_scores`; empty to ignore scores.
        keep_fraction: fraction of the scored rows to keep.
        keep_rows: a Parquet file with the columns of `IDENTIFIED_SCHEMA`; only its rows are kept. Empty: no file.
    """

    keep_by: str = ""
    keep_fraction: float = 1.0
    keep_rows: str = ""

    def settings(self) -> dict[str, str | float]:
        """Return what the selection depends on apart from the lake, as settings of a partition.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self.keep_rows:
            try:
                with Path(self.keep_rows).open("rb") as stream:
                    return {"keep_rows": hashlib.file_digest(stream, "sha256").hexdigest()}
            except OSError as error:
                raise _unreadable(self.keep_rows, error) from error
        return {"keep_by": self.keep_by, "keep_fraction": self.keep_fraction} if self.keep_by else {}

    def drop_masks(self, lake: Lake, images: Mapping[str, Manifest]) -> DropMasks:
        """Return masks of the rows that are not selected; empty if all rows are selected.

        Args:
            lake: holds the images, and `selection_scores` if `keep_by` is set.
            images: manifest of `subset_images` of each subset.

        Raises:
            NotMaterializedError: `keep_by` is set, and there are no scores.
            StaleError: the scores are older than a subset.
            ConfigError: no row has a score, the file does not list rows of these subsets, or the files of a subset have
                changed so that a listed row cannot be found again.
        """
        if self.keep_rows:
            return _mask_rows_outside_file(lake, self.keep_rows, images)
        return _mask_low_scores(lake, self.keep_by, self.keep_fraction, images) if self.keep_by else {}


def as_table(masks: DropMasks) -> pa.Table:
    """Return the dropped rows as a table of `ROWS_SCHEMA`."""
    tables = [ROWS_SCHEMA.empty_table()]
    for subset, mask in masks.items():
        row = np.flatnonzero(mask)
        tables.append(pa.table([pa.repeat(subset, len(row)), row], schema=ROWS_SCHEMA))
    return pa.concat_tables(tables)


def as_mask(table: pa.Table, subset: str, rows: int) -> np.ndarray:
    """Return a mask of the rows of a subset that a table of `ROWS_SCHEMA` lists, bool [rows]."""
    mask = np.zeros(rows, bool)
    mask[table.filter(pc.equal(table["subset"], subset))["row"].to_numpy()] = True
    return mask


def _mask_rows_outside_file(lake: Lake, path: str, images: Mapping[str, Manifest]) -> DropMasks:
    given = _read_choice(path)
    if not set(given["subset"].unique().to_pylist()) & set(images):
        raise ConfigError(
            f"VISDIV_KEEP_ROWS={path} lists no row of a materialized subset, so every row would be dropped: write it "
            "again with `visdiv select --out`"
        )
    masks = {}
    for subset, listed in images.items():
        chosen = given.filter(pc.equal(given["subset"], subset))
        selected, lost = find_rows(chosen, images_of_rows(lake, listed), listed.source_revision)
        if lost:
            raise ConfigError(
                f"VISDIV_KEEP_ROWS={path} lists {lost} rows of {subset!r} that cannot be found by their images in its "
                "current version: write it again with `visdiv select --out`"
            )
        masks[subset] = ~selected
    return masks


def _read_choice(path: str) -> pa.Table:
    """Read a file of chosen rows, each row once."""
    try:
        given = pq.read_table(path, columns=IDENTIFIED_SCHEMA.names).cast(IDENTIFIED_SCHEMA)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error
    if any(given[name].null_count for name in given.column_names):
        raise _unreadable(path, ValueError("a value is null"))
    index = pa.array(np.arange(given.num_rows))
    once = given.select(["subset", "row"]).append_column("index", index).group_by(["subset", "row"])
    return given.take(once.aggregate([("index", "min")])["index_min"])


def _mask_low_scores(lake: Lake, keep_by: str, keep_fraction: float, images: Mapping[str, Manifest]) -> DropMasks:
    manifest = lake.manifest(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if manifest is None:
        raise NotMaterializedError(LakeTable.SELECTION_SCORES, CORPUS_PARTITION)
    if not manifest.files("scores"):
        raise ConfigError(
            f"VISDIV_KEEP_BY={keep_by} needs CLIP vectors, and no subset has any: install CLIP weights "
            "(VISDIV_CLIP_MODEL) and run `visdiv run --all`, or unset VISDIV_KEEP_BY"
        )
    scores = lake.read(manifest, "scores", columns=["subset", keep_by])
    if scores[keep_by].null_count == scores.num_rows:
        raise ConfigError(f"no row has a score by {keep_by}: choose another VISDIV_KEEP_BY, or unset it")
    dropped = ~keep_fraction_of_scored(scores, keep_by, keep_fraction)
    names = scores["subset"].combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy()
    masks = {name: dropped[codes == code] for code, name in enumerate(names.dictionary.to_pylist()) if name in images}
    require_scores_of(manifest, [images[name] for name in masks])
    return masks


def _unreadable(path: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:200]
    return ConfigError(
        f"VISDIV_KEEP_ROWS={path} is not a Parquet file with the columns subset, row, image_ids and "
        f"source_revision ({reason}): write one with "
        "`visdiv select --out`, or unset VISDIV_KEEP_ROWS"
    )
