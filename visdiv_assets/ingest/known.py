"""Thumbnails and features of an earlier state, which need not be made again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.identity import image_changed
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


class KnownBlobs:
    """Blobs of an earlier version of a subset, by image_id."""

    def __init__(self, lake: Lake, manifest: Manifest | None, role: str) -> None:
        """Open the blobs of a manifest.

        Args:
            lake: the lake that holds them.
            manifest: manifest of the earlier version, made with the present settings; None if there is none.
            role: their role, beside the role `ids`.
        """
        self._index = IdIndex(np.empty(0, "S32"))
        if manifest is not None and manifest.rows("ids") > 0:
            self._index = IdIndex(lake.read(manifest, "ids", columns=["image_id"])["image_id"])
            self._blobs = lake.blobs(manifest, role)

    def missing(self, ids: np.ndarray) -> np.ndarray:
        """Return which of some images, S32 [n], are not known: bool [n]."""
        unknown: np.ndarray = self._index.rows(ids) < 0
        return unknown

    def find(self, ids: np.ndarray) -> Iterator[bytes]:
        """Yield the blobs of images, S32 [n], in order.

        Raises:
            ModelError: one of them is not known.
        """
        rows = self._index.rows(ids)
        if (rows < 0).any():
            raise image_changed(ids[rows < 0][0].decode())
        return iter(self._blobs.read(rows) if len(rows) else [])
