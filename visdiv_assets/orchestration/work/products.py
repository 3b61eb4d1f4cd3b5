"""The pass of one partition: what an earlier run finished is reused, each other shard is read once for all it lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.embedding.shards import IDS_SCHEMA, KnownVectors
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.ingest import BlobProduct, ShardProducts, VectorProduct
from visdiv_assets.ingest.known import KnownBlobs
from visdiv_assets.orchestration.engines import Engine
from visdiv_assets.orchestration.work.ingest import NO_MODEL, THUMBNAILS, Description, ReadShards, ShardUnit
from visdiv_assets.progress import Progress
from visdiv_assets.sources.versions import Version, VersionedShard
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite


class ImageProduct(Protocol):
    """A product of every distinct readable image; a unit of its table holds the images that a shard is the first with.

    Attributes:
        name: of the product.
        write: of its table.
        earlier: manifest of a state whose images need not be made again; None if there is none.
        wanted: whether it is made; if not, its table stays empty.
        made: number of images of which it was made, not reused.
    """

    name: str
    write: PartitionWrite
    earlier: Manifest | None
    wanted: bool
    made: int

    def unknown(self, ids: np.ndarray) -> np.ndarray:
        """Return which of some images, S32 [n], are not in the earlier state: bool [n]."""
        ...

    def store(self, unit: UnitWrite, ids: np.ndarray, products: ShardProducts | None) -> None:
        """Write the images of a shard, S32 [n], some made now, the others in the earlier state."""
        ...


class Blobs:
    """Thumbnails or local features."""

    def __init__(self, name: str, lake: Lake, write: PartitionWrite, earlier: Manifest | None, *, wanted: bool) -> None:
        """Create the product; `earlier` is a state made with the same settings."""
        self.name, self.write, self.earlier, self.wanted, self.made = name, write, earlier, wanted, 0
        self._lake = lake

    @cached_property
    def _known(self) -> KnownBlobs:
        return KnownBlobs(self._lake, self.earlier, self.name)

    def unknown(self, ids: np.ndarray) -> np.ndarray:
        """Return which images are not in the earlier state."""
        return self._known.missing(ids)

    def store(self, unit: UnitWrite, ids: np.ndarray, products: ShardProducts | None) -> None:
        """Write blobs and image_ids."""
        made = products and (products.thumbnails if self.name == THUMBNAILS else products.features)
        unit.blobs(self.name, (made or BlobProduct()).take(ids, self._known))
        unit.table("ids", _id_table(ids), IDS_SCHEMA)
        self.made += int(self.unknown(ids).sum())


class Vectors:
    """The vectors of a model; of `NO_MODEL` there are none."""

    def __init__(
        self, name: str, lake: Lake, write: PartitionWrite, earlier: Manifest | None, model: Description
    ) -> None:
        """Create the product; `earlier` is a state made by the same model."""
        self.name, self.write, self.earlier, self.wanted, self.made = name, write, earlier, model != NO_MODEL, 0
        self.model = model
        self._lake = lake

    @cached_property
    def _known(self) -> KnownVectors:
        return KnownVectors(self._lake, self.earlier, self.model.model_id)

    def unknown(self, ids: np.ndarray) -> np.ndarray:
        """Return which images are not in the earlier state."""
        known, _ = self._known.rows(ids)
        return ~known

    def store(self, unit: UnitWrite, ids: np.ndarray, products: ShardProducts | None) -> None:
        """Write vectors, norms if the model has them, and image_ids."""
        made = products.vectors.get(self.name) if products else None
        if made is None:
            made = VectorProduct(self.model.dimension, keeps_norms=self.model.keeps_norms)
        found = made.take(ids, self._known)
        unit.array("vectors", found.vectors)
        if found.norms is not None:
            unit.array("norms", found.norms)
        unit.table("ids", _id_table(ids), IDS_SCHEMA)
        self.made += found.computed


@dataclass
class Pass:
    """The pass over the shards of one subset or benchmark.

    Attributes:
        lake: where everything is stored.
        version: the shards.
        engine: reads them; only this process writes.
        work: makes the products.
        images: the list of positions, which is written or was written by an earlier run.
        texts: the texts of every row; None if they are not written.
        products: the products of images that are written.
        on_device: a context that is entered while models run.
        advance: called with the number of rows finished.
    """

    lake: Lake
    version: Version
    engine: Engine
    work: ReadShards
    images: PartitionWrite | Manifest
    texts: PartitionWrite | None
    products: Sequence[ImageProduct]
    on_device: Callable[[], AbstractContextManager[None]]
    advance: Progress
    _textless: set[str] = field(default_factory=set)
    #: The images of the shards that are read again, by name of the shard.
    _images_of: dict[str, np.ndarray] = field(default_factory=dict)

    def run(self) -> None:
        """Reuse or make all units, in the order of the shards.

        A unit of a product is named by the images that no earlier shard has, so shards that are not listed yet are read
        first, with every product of their images. Then the others are read for what they lack.

        Raises:
            VisdivError: raised by the work; or the disk is full. Finished units are kept.
        """
        unlisted = {shard.shard.name for shard in self.version.shards if not self._is_listed(shard)}
        if self.texts is not None:
            texts = self.texts
            self._textless = {
                shard.shard.name
                for shard in self.version.shards
                if not texts.reuse(shard.shard.name, _inputs_of(shard))
            }
        with closing(self._list(unlisted)) as units:
            lacking = list(units)
        self._read_again(lacking)
        for write in self._writes():
            write.arrange(shard.shard.name for shard in self.version.shards)

    def _writes(self) -> list[PartitionWrite]:
        rows = [write for write in (self.images, self.texts) if isinstance(write, PartitionWrite)]
        return [*rows, *(product.write for product in self.products)]

    def _is_listed(self, shard: VersionedShard) -> bool:
        return isinstance(self.images, Manifest) or self.images.reuse(shard.shard.name, _inputs_of(shard))

    def _list(self, unlisted: set[str]) -> Generator[ShardUnit]:
        """Read the shards that are not listed; yield the units of the others that lack something."""
        waiting = list(self.version.shards)
        # What was made of shards before that of an earlier shard; it is stored in the order of the shards.
        early: dict[str, ShardProducts] = {}

        def store() -> Iterator[ShardUnit]:
            while waiting and ((name := waiting[0].shard.name) in early or name not in unlisted):
                lacking = self._store(waiting.pop(0), early.pop(name, None))
                if lacking is not None:
                    yield lacking

        yield from store()
        units = [
            ShardUnit(shard, True, shard.shard.name in self._textless, None)
            for shard in waiting
            if shard.shard.name in unlisted
        ]
        with closing(self._results(self.work, units)) as results:
            for unit, made in results:
                early[unit.shard.shard.name] = made
                yield from store()

    def _read_again(self, units: Sequence[ShardUnit]) -> None:
        """Read listed shards for what they lack."""
        needed = {name for unit in units for name in unit.missing or ()}
        loads = {name: load for name, load in self.work.loads.items() if name in needed}
        with closing(self._results(replace(self.work, loads=loads, earlier={}), units)) as results:
            for unit, made in results:
                ids = self._images_of.pop(unit.shard.shard.name, np.empty(0, "S32"))
                for product in self.products:
                    if product.name in (unit.missing or ()):
                        self._store_images(product, unit.shard, ids, made)

    def _results(self, work: ReadShards, units: Sequence[ShardUnit]) -> Generator[tuple[ShardUnit, ShardProducts]]:
        """Read shards, and store what does not depend on other shards."""
        if not units:
            return
        # Before the work, too: on a full disk no shard should be read.
        self.lake.require_space()
        left = len(units)
        with (
            self.on_device() if work.uses_device else nullcontext(),
            closing(self.engine.map(work, units, self.advance)) as results,
        ):
            for index, made in results:
                self._store_rows(units[index], made)
                yield units[index], made
                left -= 1
                if left:
                    self.lake.require_space()

    def _store_rows(self, unit: ShardUnit, made: ShardProducts) -> None:
        name, inputs = unit.shard.shard.name, _inputs_of(unit.shard)
        if unit.texts and self.texts is not None:
            with self.texts.add(name, inputs) as stored:
                for role, table in (("turns", made.turns), ("rows", made.turn_counts), ("rows", made.strings)):
                    if table is not None:
                        stored.table(role, table.batches(), table.schema)
        if made.images is not None and isinstance(self.images, PartitionWrite):
            with self.images.add(name, inputs) as stored:
                stored.table("rows", made.images.batches(), IMAGES_SCHEMA)

    def _store(self, shard: VersionedShard, made: ShardProducts | None) -> ShardUnit | None:
        """Store the images that a listed shard is the first with; return the unit of what has to be read for them."""
        name = shard.shard.name
        missing: dict[str, np.ndarray] = {}
        if self.products:
            ids = self._first_images(name)
            for product in self.products:
                wanted = ids if product.wanted else ids[:0]
                if product.write.reuse(name, _inputs_of_images(wanted)):
                    continue
                unknown = wanted[:0] if made else wanted[product.unknown(wanted)]
                if len(unknown):
                    missing[product.name] = unknown
                else:
                    self._store_images(product, shard, ids, made)
            if missing:
                self._images_of[name] = ids
        texts = made is None and name in self._textless
        if missing or texts:
            return ShardUnit(shard, False, texts, missing)
        if made is None:
            self.advance(shard.shard.rows)
        return None

    def _store_images(
        self, product: ImageProduct, shard: VersionedShard, ids: np.ndarray, made: ShardProducts | None
    ) -> None:
        wanted = ids if product.wanted else ids[:0]
        with product.write.add(shard.shard.name, _inputs_of_images(wanted)) as unit:
            product.store(unit, wanted, made)

    def _first_images(self, shard: str) -> np.ndarray:
        """Return the readable images of a shard that no earlier shard has, S32 [n], in order of position."""
        listed = self.images if isinstance(self.images, Manifest) else self.images.draft()
        unit = replace(listed, units=tuple(unit for unit in listed.units if unit.name == shard))
        rows = self.lake.read(unit, columns=["image_id"], where=pc.field("status") == "ok")
        ids = rows["image_id"].to_numpy().astype("S32")
        distinct, first = np.unique(ids, return_index=True)
        new = np.sort(first[~self.work.seen.ids.holds(distinct)])
        self.work.seen.ids.add(ids[new])
        found: np.ndarray = ids[new]
        return found


def _inputs_of(shard: VersionedShard) -> dict[str, str]:
    """Return what the rows of a shard are listed from."""
    return {"shard": shard.digest, "first_row": str(shard.first_row)}


def _inputs_of_images(ids: np.ndarray) -> dict[str, str]:
    """Return what a product of images S32 [n] is made from: their content, which the image_ids stand for."""
    return {"images": hashlib.sha256(ids.tobytes()).hexdigest()}


def _id_table(ids: np.ndarray) -> pa.Table:
    return pa.table([pa.array(ids.astype("U32"), pa.string())], schema=IDS_SCHEMA)
