"""Embed a subset shard by shard, each distinct image once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.stream import EncodedImage, embed_with_norms, image_changed
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import image_bytes
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

IDS_SCHEMA = pa.schema([("image_id", pa.string())])


def positions_between(positions: pa.Table, first_row: int, end_row: int) -> pa.Table:
    """Return the positions, as `imaging.listing.first_positions` lists them, whose row is in [first_row, end_row)."""
    rows = positions["row"].to_numpy()
    start, stop = np.searchsorted(rows, [first_row, end_row])
    return positions.slice(start, stop - start)


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

    def find(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up ids, S32 [n]: return a mask of the known ones, bool [n], and their vectors, float16 [known, d]."""
        known, rows = self.rows(ids)
        return known, self._vectors[rows] if len(rows) else np.empty((0, 0), np.float16)

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up ids, S32 [n]: return a mask of the known ones, bool [n], and their rows, int64 [known]."""
        rows = self._index.rows(ids)
        known = rows >= 0
        return known, rows[known]

    def norms(self, rows: np.ndarray) -> np.ndarray:
        """Return the stored norms of some rows, float32 [n]; only for models that keep norms."""
        found: np.ndarray = self._norms[rows]
        return found


class PositionVectors(NamedTuple):
    """The vectors of the images at some positions of a shard.

    Attributes:
        vectors: float16 [n, dimension], unit length.
        norms: float32 [n], lengths before scaling; None if the model returns unit vectors.
        computed: number of vectors that were computed because they were not known.
    """

    vectors: np.ndarray
    norms: np.ndarray | None
    computed: int


def embed_positions(
    batches: Iterable[pa.RecordBatch],
    positions: pa.Table,
    embedder: Embedder,
    *,
    first_row: int,
    known: KnownVectors,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> PositionVectors:
    """Embed the images at some positions of one shard.

    Args:
        batches: the shard's rows with a column `images`; not read if every vector is known.
        positions: row, image_index and image_id of the images, in order.
        embedder: the model.
        first_row: index of the shard's first row in the subset.
        known: vectors that need not be computed.
        threads: threads that decode.
        limits: limits of images; a larger image counts as unreadable.
        progress: called with the number of images finished.

    Raises:
        ModelError: an image has changed since it was listed.
    """
    ids = positions["image_id"].to_numpy().astype("S32")
    vectors = np.empty((len(ids), embedder.dimension), np.float16)
    norms = np.empty(len(ids), np.float32) if embedder.keeps_norms else None
    have, found = known.find(ids)
    if have.any():
        vectors[have] = found
        if norms is not None:
            norms[have] = known.norms(known.rows(ids)[1])
    progress(int(have.sum()))
    wanted = np.flatnonzero(~have)
    if len(wanted):
        images = _select_images(batches, positions.take(wanted), first_row)
        done = 0
        parts = embed_with_norms(images, embedder, threads=threads, limits=limits, progress=progress)
        for part in parts:
            rows = wanted[done : done + len(part.vectors)]
            vectors[rows] = part.vectors
            if norms is not None:
                norms[rows] = part.norms
            done += len(rows)
        if done < len(wanted):
            raise image_changed(str(positions["image_id"][int(wanted[done])]))
    return PositionVectors(vectors, norms, len(wanted))


def _select_images(batches: Iterable[pa.RecordBatch], positions: pa.Table, first_row: int) -> Iterator[EncodedImage]:
    wanted_rows = positions["row"].to_numpy()
    wanted_index = positions["image_index"].to_numpy()
    wanted_ids = positions["image_id"].to_pylist()
    next_wanted = 0
    for batch in batches:
        end_row = first_row + batch.num_rows
        stop = int(np.searchsorted(wanted_rows, end_row))
        if stop > next_wanted:
            rows, _, encoded = image_bytes(batch)
            first_of_row = np.searchsorted(rows, wanted_rows[next_wanted:stop] - first_row)
            for wanted, offset in enumerate(first_of_row, start=next_wanted):
                index = int(offset + wanted_index[wanted])
                yield wanted_ids[wanted], (encoded[index].as_py() or b"") if index < len(encoded) else b""
        next_wanted, first_row = stop, end_row


def vector_defects(vectors: Iterable[np.ndarray], tolerance: float = 1e-3) -> dict[str, int]:
    """Count the vectors that are not finite, and those whose length differs from 1 by more than a tolerance.

    Args:
        vectors: blocks [n, d]; rounding to float16 changes lengths by up to 5e-4.
        tolerance: largest allowed difference from 1.
    """
    not_finite = not_unit = 0
    for block in vectors:
        lengths = np.linalg.norm(block.astype(np.float32), axis=1)
        finite = np.isfinite(lengths)
        not_finite += int((~finite).sum())
        not_unit += int((np.abs(lengths[finite] - 1) > tolerance).sum())
    return {"not_finite": not_finite, "not_unit_length": not_unit}
