"""Vectors of an earlier state, and checks of stored vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

IDS_SCHEMA = pa.schema([("image_id", pa.string())])


class KnownVectors:
    """Vectors of an earlier version of a subset, by image_id or text_id, which need not be computed again."""

    def __init__(
        self, lake: Lake, manifest: Manifest | None, model_id: str, *, role: str = "ids", column: str = "image_id"
    ) -> None:
        """Open the vectors of a manifest, unless they are from another model.

        Args:
            lake: the lake that holds them.
            manifest: manifest of the earlier version; None if there was none.
            model_id: the model whose vectors are wanted.
            role: the table of ids, in the order of the vectors.
            column: its column of ids, 32 characters each.
        """
        usable = manifest is not None and manifest.model_id == model_id and manifest.rows(role) > 0
        if usable and manifest is not None:
            self._index = IdIndex(lake.read(manifest, role, columns=[column])[column])
            self._vectors = lake.array(manifest, "vectors")
            self._norms = lake.column(manifest, "norms")
        else:
            self._index = IdIndex(np.empty(0, "S32"))

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up ids, S32 [n]: return a mask of the known ones, bool [n], and their rows, int64 [known]."""
        rows = self._index.rows(ids)
        known = rows >= 0
        return known, rows[known]

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the stored vectors of some rows, float16 [n, d]."""
        return self._vectors[rows] if len(rows) else np.empty((0, 0), np.float16)

    def norms(self, rows: np.ndarray) -> np.ndarray:
        """Return the stored norms of some rows, float32 [n]; only for models that keep norms."""
        found: np.ndarray = self._norms[rows]
        return found


class ImageVectors(NamedTuple):
    """The vectors of some images.

    Attributes:
        vectors: float16 [n, dimension], unit length.
        norms: float32 [n], lengths before scaling; None if the model returns unit vectors.
        computed: number of vectors that were computed because they were not known.
    """

    vectors: np.ndarray
    norms: np.ndarray | None
    computed: int


def vector_defects(vectors: Iterable[np.ndarray], tolerance: float = 1e-3, *, parts: int = 1) -> dict[str, int]:
    """Count the vectors that are not finite, and those whose length differs from 1 by more than a tolerance.

    Args:
        vectors: blocks [n, d]; rounding to float16 changes lengths by up to 5e-4.
        tolerance: largest allowed difference from 1.
        parts: number of vectors that a row holds one after the other, such as those of regions. If there are several,
            a vector of zeros is no defect.
    """
    not_finite = not_unit = 0
    for block in vectors:
        each = block.astype(np.float32).reshape(len(block) * parts, -1)
        if parts > 1:
            each = each[each.any(axis=1)]
        lengths = np.linalg.norm(each, axis=1)
        finite = np.isfinite(lengths)
        not_finite += int((~finite).sum())
        not_unit += int((np.abs(lengths[finite] - 1) > tolerance).sum())
    return {"not_finite": not_finite, "not_unit_length": not_unit}
