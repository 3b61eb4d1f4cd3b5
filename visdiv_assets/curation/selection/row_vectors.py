"""The vectors of rows that selection methods compare: those of the first image, and of the first text, of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import require_one_model
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import StorageError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.arrays import RowsOf, StackedArray
from visdiv_assets.storage.lake import Lake


@dataclass(frozen=True)
class Rows:
    """Rows of several subsets.

    Attributes:
        subset: string array [n].
        row: int64 [n].
    """

    subset: pa.Array
    row: np.ndarray

    @classmethod
    def all_of(cls, subsets: Sequence[str], sizes: Sequence[int]) -> Rows:
        """Return all rows of some subsets."""
        names = pa.array(np.repeat(np.array(subsets, object), sizes), pa.string())
        return cls(names, np.concatenate([np.empty(0, np.int64), *(np.arange(size) for size in sizes)]))

    def take(self, indices: np.ndarray) -> Rows:
        """Return some of the rows, by index."""
        return Rows(self.subset.take(pa.array(indices)), self.row[indices])


def subsets_with(lake: Lake, table: str, subsets: Sequence[str]) -> list[str]:
    """Return the given subsets, sorted; all that have the table if none is given.

    Raises:
        StorageError: no subset has the table.
    """
    names = sorted(set(subsets)) or lake.partitions(table)
    if not names:
        raise StorageError(f"{table} is not materialized for any subset: run `visdiv run --all`")
    return names


def image_table(lake: Lake) -> str:
    """Return the table of the vectors of images: those of CLIP, or of SSCD if there are no CLIP vectors."""
    has_clip = lake.partitions(LakeTable.CLIP_IMAGE_EMBEDDINGS)
    return LakeTable.CLIP_IMAGE_EMBEDDINGS if has_clip else LakeTable.SSCD_EMBEDDINGS


def images_of(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """Return `first_images` of the given subsets (empty: all), from `image_table`.

    Raises:
        StorageError: there are no vectors.
    """
    table = image_table(lake)
    return first_images(lake, table, subsets_with(lake, table, subsets))


def first_images(lake: Lake, table: str, subsets: Sequence[str]) -> tuple[Rows, RowsOf]:
    """Return the rows with a readable image, and the vector of the first such image of each row.

    Raises:
        NotMaterializedError: a subset has no such vectors.
        ModelError: two subsets were embedded by different models.
    """
    manifests = [lake.require(table, subset) for subset in subsets]
    require_one_model(manifests)
    names: list[str] = []
    rows, indices, parts, offset = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [], 0
    for manifest in manifests:
        listed = lake.read(
            lake.require(LakeTable.SUBSET_IMAGES, manifest.partition),
            columns=["row", "image_id"],
            where=pc.field("status") == "ok",
        )
        vector = IdIndex(lake.read(manifest, "ids")["image_id"]).rows(listed["image_id"])
        row = listed["row"].to_numpy()[vector >= 0]
        once, first = np.unique(row, return_index=True)
        rows.append(once)
        indices.append(vector[vector >= 0][first] + offset)
        names += [manifest.partition] * len(once)
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return Rows(pa.array(names, pa.string()), np.concatenate(rows)), RowsOf(
        StackedArray(parts), np.concatenate(indices)
    )


def first_pairs(lake: Lake, subsets: Sequence[str]) -> tuple[Rows, RowsOf, RowsOf]:
    """Return the rows with an image and a text, and the CLIP vectors of the first image and text of each."""
    names = subsets_with(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, subsets)
    rows, vectors = first_images(lake, LakeTable.CLIP_IMAGE_EMBEDDINGS, names)
    texts, has_text = _first_texts(lake, rows, names)
    kept = np.flatnonzero(has_text)
    return rows.take(kept), RowsOf(vectors, kept), RowsOf(texts, kept)


def _first_texts(lake: Lake, rows: Rows, subsets: Sequence[str]) -> tuple[RowsOf, np.ndarray]:
    """Return the vector of each row's first text, and a mask of the rows that have one, bool [n]."""
    indices = np.zeros(len(rows.row), np.int64)
    has_text = np.zeros(len(rows.row), bool)
    parts: list[np.ndarray] = []
    offset = 0
    names = rows.subset.to_numpy(zero_copy_only=False)
    for subset in subsets:
        manifest = lake.require(LakeTable.CLIP_TEXT_EMBEDDINGS, subset)
        turns = lake.read(manifest, "turns", columns=["row", "text_id"], where=pc.field("text_id").is_valid())
        text = IdIndex(lake.read(manifest, "texts", columns=["text_id"])["text_id"]).rows(turns["text_id"])
        first_row, first = np.unique(turns["row"].to_numpy(), return_index=True)
        in_subset = np.flatnonzero(names == subset)
        turn = np.searchsorted(first_row, rows.row[in_subset])
        turn = np.minimum(turn, max(len(first_row) - 1, 0))
        found = first_row[turn] == rows.row[in_subset] if len(first_row) else np.zeros(len(in_subset), bool)
        indices[in_subset[found]] = text[first[turn[found]]] + offset
        has_text[in_subset[found]] = True
        part = lake.array(manifest, "vectors")
        parts += part.parts
        offset += len(part)
    return RowsOf(StackedArray(parts), indices), has_text
