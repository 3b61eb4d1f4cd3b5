"""Embedding as units of work for any engine: a unit is a shard, its result the vectors of the shard's images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pyarrow as pa

from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.shards import KnownVectors, PositionVectors, embed_positions
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Shard, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Loads a model on a device. It must be picklable: a function of a module, or a `partial` of one.
Load = Callable[[str], Embedder]


class Description(NamedTuple):
    """Attributes of the `Embedder` of a model that is loaded in another process."""

    model_id: str
    dimension: int
    device: str


@dataclass(frozen=True)
class Describe:
    """Loads a model where it will run, and describes it; the unit is None."""

    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = True

    load: Load

    def open(self, worker: Worker) -> Callable[[None, Progress], Description]:
        """Load the model."""
        embedder = self.load(worker.device)
        description = Description(embedder.model_id, embedder.dimension, embedder.device)
        return lambda unit, progress: description

    def size(self, unit: None) -> int:
        """Return 0: describing a model is no progress."""
        return 0


class ShardUnit(NamedTuple):
    """A shard, and the images in it that have to be embedded.

    Attributes:
        shard: the shard.
        first_row: index of its first row in the subset.
        positions: row, image_index and image_id of the images, in order.
    """

    shard: Shard
    first_row: int
    positions: pa.Table


@dataclass(frozen=True)
class EmbedShards:
    """Embeds the images of shards.

    Attributes:
        source: where the images are.
        lake: where the vectors of an earlier state are.
        kind: subset or benchmark.
        name: its name.
        earlier: manifest of the earlier state; None if there is none.
        load: loads the model.
        limits: of images; a larger image is unreadable.
    """

    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = True

    source: PerProcess[Source]
    lake: PerProcess[Lake]
    kind: Kind
    name: str
    earlier: Manifest | None
    load: Load
    limits: DecodeLimits

    def open(self, worker: Worker) -> Callable[[ShardUnit, Progress], PositionVectors]:
        """Load the model, and memory-map the earlier vectors."""
        embedder = self.load(worker.device)
        known = KnownVectors(self.lake.get(), self.earlier, embedder.model_id)
        source = self.source.get()

        def embed(unit: ShardUnit, progress: Progress) -> PositionVectors:
            return embed_positions(
                source.batches(self.kind, self.name, unit.shard, columns=["images"]),
                unit.positions,
                embedder,
                first_row=unit.first_row,
                known=known,
                threads=worker.threads,
                limits=self.limits,
                progress=progress,
            )

        return embed

    def size(self, unit: ShardUnit) -> int:
        """Return the number of images."""
        return int(unit.positions.num_rows)
