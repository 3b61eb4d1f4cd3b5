"""Embedding a subset shard by shard: each image once, however often it occurs."""

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
    """Those of `imaging.listing.first_positions` whose row lies in [first_row, end_row)."""
    rows = positions["row"].to_numpy()
    start, stop = np.searchsorted(rows, [first_row, end_row])
    return positions.slice(start, stop - start)


class KnownVectors:
    """Vectors of an earlier state of a subset, by image_id or text_id: what a changed subset need not embed again."""

    def __init__(
        self, lake: Lake, manifest: Manifest | None, model_id: str, *, role: str = "ids", column: str = "image_id"
    ) -> None:
        """Open the vectors of a manifest; those of another model are not used.

        Args:
            lake: where they are.
            manifest: of the earlier state; None if there was none.
            model_id: the model whose vectors are wanted.
            role: the table that says whose the vectors are, in their order.
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
        """Look up ids, S32 [n]: a mask bool [n] of the known ones, and their vectors float16 [known, d]."""
        known, rows = self.rows(ids)
        return known, self._vectors[rows] if len(rows) else np.empty((0, 0), np.float16)

    def rows(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up ids, S32 [n]: a mask bool [n] of the known ones, and their rows there, int64 [known]."""
        rows = self._index.rows(ids)
        known = rows >= 0
        return known, rows[known]

    def norms(self, rows: np.ndarray) -> np.ndarray:
        """The lengths that the vectors of some rows had, float32 [n]; only where they were kept."""
        found: np.ndarray = self._norms[rows]
        return found


class PositionVectors(NamedTuple):
    """What the images at some positions of a shard are to a model.

    Attributes:
        vectors: float16 [n, dimension], unit length.
        norms: float32 [n], the lengths that the model gave them; None where it gives unit vectors.
        computed: how many were computed, not known.
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
        batches: the shard's rows with a column `images`; not drawn if every vector is known.
        positions: row, image_index, image_id of the wanted images, in order.
        embedder: the model.
        first_row: number of the shard's first row.
        known: vectors that need not be computed.
        threads: threads that decode.
        limits: of images; a larger one counts as unreadable.
        progress: told of images embedded.

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
        images = _images(batches, positions.take(wanted), first_row)
        done = 0
        parts = embed_with_norms(images, embedder, threads=threads, limits=limits, progress=progress)
        for part in parts:
            places = wanted[done : done + len(part.vectors)]
            vectors[places] = part.vectors
            if norms is not None:
                norms[places] = part.norms
            done += len(places)
        if done < len(wanted):
            raise image_changed(str(positions["image_id"][int(wanted[done])]))
    return PositionVectors(vectors, norms, len(wanted))


def _images(batches: Iterable[pa.RecordBatch], positions: pa.Table, first_row: int) -> Iterator[EncodedImage]:
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
            for number, offset in enumerate(first_of_row, start=next_wanted):
                place = int(offset + wanted_index[number])
                yield wanted_ids[number], (encoded[place].as_py() or b"") if place < len(encoded) else b""
        next_wanted, first_row = stop, end_row


def vector_defects(vectors: Iterable[np.ndarray], tolerance: float = 1e-3) -> dict[str, int]:
    """Count the vectors that are not finite, and those whose length is off 1 by more than a tolerance.

    Args:
        vectors: blocks [n, d]; float16 storage alone makes lengths differ from 1 by up to 5e-4.
        tolerance: largest deviation from 1.
    """
    not_finite = not_unit = 0
    for block in vectors:
        lengths = np.linalg.norm(block.astype(np.float32), axis=1)
        finite = np.isfinite(lengths)
        not_finite += int((~finite).sum())
        not_unit += int((np.abs(lengths[finite] - 1) > tolerance).sum())
    return {"not_finite": not_finite, "not_unit_length": not_unit}
