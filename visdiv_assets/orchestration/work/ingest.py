"""The pass over a source as units of work for any engine: a unit is a shard, its result everything made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.ingest import ModelWanted, ShardProducts, Wanted, ingest_shard
from visdiv_assets.ingest.wanted import Choose
from visdiv_assets.orchestration.engines import Engine, PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.versions import VersionedShard
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Loads a model on a device. It must be picklable: a function of a module, or a `partial` of one.
Load = Callable[[str], Embedder]

#: Products of images that are no vectors.
THUMBNAILS = "thumbnails"
FEATURES = "features"


class Description(NamedTuple):
    """Attributes of the `Embedder` of a model that is loaded in another process."""

    model_id: str
    dimension: int
    device: str
    keeps_norms: bool


#: The model of vectors that the settings leave out; their table stays empty.
NO_MODEL = Description("", 1, "", False)


@dataclass(frozen=True)
class Describe:
    """Loads a model where it will run, and describes it; the unit is None."""

    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = True

    load: Load

    def open(self, worker: Worker) -> Callable[[None, Progress], Description]:
        """Load the model."""
        embedder = self.load(worker.device)
        description = Description(embedder.model_id, embedder.dimension, embedder.device, embedder.keeps_norms)
        return lambda unit, progress: description

    def size(self, unit: None) -> int:
        """Return 0: describing a model is no progress."""
        return 0


def describe(engine: Engine, load: Load) -> Description:
    """Return the description of a model, loaded where it will run."""
    ((_, description),) = engine.map(Describe(load), [None])
    return description


@dataclass
class SeenImages:
    """The images of the shards that were stored so far.

    They need not be made again. Only the process that stores them knows them: pickling sends none, and what another
    process makes in vain is left out when it is stored.
    """

    ids: IdSet = field(default_factory=IdSet)

    def __getstate__(self) -> dict[str, Any]:
        return {"ids": IdSet()}


class ShardUnit(NamedTuple):
    """A shard to read.

    Attributes:
        shard: the shard.
        images: whether its positions are listed.
        texts: whether its texts are listed: turns of a subset, strings of a benchmark.
        missing: the images to make, S32 [n], by product. An absent product is not made. None if the positions are not
            listed yet: then all products are made of every image that is not known.
    """

    shard: VersionedShard
    images: bool
    texts: bool
    missing: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class ReadShards:
    """Makes products of shards.

    Attributes:
        source: where the shards are.
        lake: where the products of an earlier state are.
        kind: subset or benchmark.
        name: its name.
        earlier: the products of images to make, and for each the manifest of an earlier state whose images need not be
            made again; None if there is none.
        loads: loads the models of the products that are vectors.
        seen: images of other shards, which need not be made again.
        limits: of images; a larger image is unreadable.
        thumbnail_side: longest side of a thumbnail in pixels.
    """

    source: PerProcess[Source]
    lake: PerProcess[Lake]
    kind: Kind
    name: str
    earlier: Mapping[str, Manifest | None]
    loads: Mapping[str, Load]
    seen: SeenImages
    limits: DecodeLimits
    thumbnail_side: int

    @property
    def holds_model(self) -> bool:
        """Whether opening loads a model."""
        return bool(self.loads)

    @property
    def uses_device(self) -> bool:
        """Whether a model runs."""
        return bool(self.loads)

    def open(self, worker: Worker) -> Callable[[ShardUnit, Progress], ShardProducts]:
        """Load the models, and the image_ids of the earlier products."""
        source, lake = self.source.get(), self.lake.get()
        models = {name: load(worker.device) for name, load in self.loads.items()}
        known = _KnownImages(lake, self.earlier)

        def read(unit: ShardUnit, progress: Progress) -> ShardProducts:
            shard = unit.shard.shard
            return ingest_shard(
                lambda columns: source.batches(self.kind, self.name, shard, columns=columns),
                self._wanted(unit, models, known),
                first_row=unit.shard.first_row,
                file=shard.name if shard.one_file else None,
                threads=worker.threads,
                limits=self.limits,
                progress=progress,
            )

        return read

    def size(self, unit: ShardUnit) -> int:
        """Return the number of rows."""
        return unit.shard.shard.rows

    def _wanted(self, unit: ShardUnit, models: Mapping[str, Embedder], known: _KnownImages) -> Wanted:
        if unit.missing is None:
            chosen: dict[str, Choose] = {name: _Unknown(known.of(name), self.seen) for name in self.earlier}
            listed = None
        else:
            chosen = {name: _Among(ids) for name, ids in unit.missing.items()}
            listed = np.unique(np.concatenate([np.empty(0, "S32"), *unit.missing.values()]))
        return Wanted(
            images=unit.images,
            turns=unit.texts and self.kind is Kind.SUBSET,
            strings=unit.texts and self.kind is Kind.BENCHMARK,
            thumbnails=chosen.get(THUMBNAILS),
            thumbnail_side=self.thumbnail_side,
            features=chosen.get(FEATURES),
            models={name: ModelWanted(models[name], choose) for name, choose in chosen.items() if name in models},
            listed=listed,
        )


class _KnownImages:
    """The image_ids of earlier products, read when they are needed; products of the same images share them."""

    def __init__(self, lake: Lake, earlier: Mapping[str, Manifest | None]) -> None:
        self._lake, self._earlier = lake, earlier
        self._read: dict[tuple[str, ...], IdSet] = {}

    def of(self, product: str) -> IdSet:
        """Return the images of a product."""
        manifest = self._earlier[product]
        files = tuple(file.sha256 for file in manifest.files("ids")) if manifest is not None else ()
        if files not in self._read:
            found = IdSet()
            if manifest is not None and files:
                found.add(self._lake.read(manifest, "ids", columns=["image_id"])["image_id"])
            self._read[files] = found
        return self._read[files]


class _Unknown:
    """Chooses images that no earlier state and no other shard has."""

    def __init__(self, known: IdSet, seen: SeenImages) -> None:
        self._known, self._seen = known, seen

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = ~(self._known.holds(ids) | self._seen.ids.holds(ids))
        return chosen


class _Among:
    """Chooses the images of a list."""

    def __init__(self, ids: np.ndarray) -> None:
        self._ids = IdSet()
        self._ids.add(ids)

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        return self._ids.holds(ids)
