"""The identity of chosen rows: their images and the version of their subset, since row numbers change with files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Schema of a table that lists chosen rows so that they can be found again.
IDENTIFIED_SCHEMA = pa.schema(
    [
        ("subset", pa.string()),
        ("row", pa.int64()),
        ("image_ids", pa.list_(pa.string())),
        ("source_revision", pa.string()),
    ]
)


def identify_rows(lake: Lake, chosen: pa.Table) -> pa.Table:
    """Append image_ids and source_revision to a table with the columns subset and row, in the types of the schema."""
    subsets = chosen["subset"].combine_chunks().dictionary_encode()
    codes, row = subsets.indices.to_numpy(), chosen["row"].to_numpy()
    order = np.argsort(codes, kind="stable")
    revisions: list[str | None] = []
    parts: list[pa.Array] = [pa.array([], IDENTIFIED_SCHEMA.field("image_ids").type)]
    for code, subset in enumerate(subsets.dictionary.to_pylist()):
        images = lake.require(LakeTable.SUBSET_IMAGES, subset)
        parts.append(images_of_rows(lake, images).take(pa.array(row[codes == code])))
        revisions.append(images.source_revision)
    placed = np.empty(len(order), np.int64)
    placed[order] = np.arange(len(order))
    return chosen.append_column("image_ids", pa.concat_arrays(parts).take(pa.array(placed))).append_column(
        "source_revision", pa.array(revisions, pa.string()).take(subsets.indices)
    )


def images_of_rows(lake: Lake, images: Manifest) -> pa.ListArray:
    """Return the image_ids of every row of a subset, list<string> [rows]; an image without bytes is null."""
    listed = lake.read(images, columns=["row", "image_id"])
    counts = np.bincount(listed["row"].to_numpy(), minlength=int(images.facts["rows"]))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, listed["image_id"].combine_chunks())


def find_rows(chosen: pa.Table, images: pa.ListArray, revision: str | None) -> tuple[np.ndarray, int]:
    """Find the chosen rows of a subset in its present version.

    In the version that they were chosen from, they have the same row numbers. In another version, a row is found by its
    images, if all present rows with exactly these images are chosen rows; otherwise it is unknown which of them it is.

    Args:
        chosen: different rows of the subset, of `IDENTIFIED_SCHEMA`.
        images: the image_ids of every present row, list<string> [rows].
        revision: the present version.

    Returns:
        a mask of the present rows that are chosen, bool [rows], and the number of chosen rows that were not found.
    """
    present, wanted = _keys(images), _keys(chosen["image_ids"].combine_chunks())
    row = chosen["row"].to_numpy()
    mask = np.zeros(len(present), bool)
    if pc.all(pc.equal(chosen["source_revision"], revision), min_count=0).as_py() and _have(present, row, wanted):
        mask[row] = True
        return mask, 0
    encoded = present.dictionary_encode()
    codes = encoded.indices.to_numpy()
    code = pc.fill_null(pc.index_in(wanted, encoded.dictionary), -1).to_numpy()
    there = np.bincount(codes, minlength=len(encoded.dictionary))
    of_chosen = np.bincount(code[code >= 0], minlength=len(encoded.dictionary))
    known = of_chosen == there
    mask = known[codes] if len(codes) else mask
    return mask, int(len(code) - np.count_nonzero(known[code[code >= 0]]))


def _have(present: pa.Array, row: np.ndarray, wanted: pa.Array) -> bool:
    """Return whether all of the given rows exist and have the wanted images."""
    if len(row) and (row.min() < 0 or row.max() >= len(present)):
        return False
    return bool(pc.all(pc.equal(present.take(pa.array(row)), wanted), min_count=0).as_py())


def _keys(images: pa.ListArray) -> pa.Array:
    """Return the image_ids of each row as one string."""
    filled = pa.ListArray.from_arrays(images.offsets, pc.fill_null(images.values, ""))
    return pc.binary_join(filled, " ")
