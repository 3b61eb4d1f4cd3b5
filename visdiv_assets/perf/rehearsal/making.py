"""Creation of the lake and the source that the stages read: real tables with synthetic content, shard by shard.

The tables are those of `subset_images`, `quality_rows`, `sscd_embeddings` and the assets of benchmarks. The source has
the same rows, with a placeholder of a few bytes for each image, so that stages that fetch single images find them.
`verified_duplicates` is written without pairs, because images are not verified.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.quality import HISTOGRAM_SCHEMA, QUALITY_SCHEMA, RULES_SCHEMA
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.perf.rehearsal import columns
from visdiv_assets.perf.rehearsal.plan import Plan, SetPlan
from visdiv_assets.perf.rehearsal.planting import PLANTED_SCHEMA, Assigned, Planted, draw_ids, plant
from visdiv_assets.perf.rehearsal.shape import Shape
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of

MODEL_ID = "rehearsal/made_up"
CODE_VERSION = "rehearsal"

#: Tables of images and of vectors, by kind of set.
TABLES = {
    Kind.SUBSET: (LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS),
    Kind.BENCHMARK: (LakeTable.BENCHMARK_IMAGES, LakeTable.BENCHMARK_EMBEDDINGS),
}

#: Rows in a shard; FineVision's shards have 2,000 to 20,000.
SHARD_ROWS = 10_000

#: Share of a subset's images that are unreadable.
UNREADABLE = 0.001


@dataclass(frozen=True)
class _Set:
    """A subset or benchmark that is being created.

    Attributes:
        kind: subset or benchmark.
        plan: its numbers of rows and images.
        ids: image_ids, S32 [images].
        readable: whether each image is readable, bool [images].
        planted: index of each image among the planted ones, or -1 if it is drawn at random, int64 [images].
    """

    kind: Kind
    plan: SetPlan
    ids: np.ndarray
    readable: np.ndarray
    planted: np.ndarray

    @property
    def revision(self) -> str:
        return digest_of([self.kind.value, self.plan.name, self.ids[:8].tobytes().hex()])

    def shards(self) -> Iterator[tuple[str, int, int]]:
        """Yield name, first row and end row (exclusive) of each shard."""
        count = -(-self.plan.rows // SHARD_ROWS)
        for index in range(count):
            start = index * SHARD_ROWS
            yield f"train-{index:05d}-of-{count:05d}.parquet", start, min(start + SHARD_ROWS, self.plan.rows)

    def images_before(self, row: int) -> int:
        """Return the number of image positions in earlier rows; positions are spread evenly over the rows."""
        return row * self.plan.images // self.plan.rows

    def image_at(self, first: int, stop: int) -> np.ndarray:
        """Return the indices of the images at consecutive positions of the set, int64 [stop - first]."""
        if not self.plan.images:
            return np.empty(0, np.int64)
        return np.arange(first, stop) * self.plan.unique // self.plan.images


def make_lake(
    lake: Lake, source: Path, plan: Plan, shape: Shape, *, seed: int = 0, progress: Progress = silent
) -> pa.Table:
    """Create the source and all tables that the stages start from.

    Args:
        lake: an empty lake.
        source: folder of the source.
        plan: the subsets and benchmarks to create.
        shape: the distribution of the vectors.
        seed: equal seeds and shapes create equal lakes.
        progress: called with the number of image positions created.

    Returns:
        the planted pairs, table of `planting.PLANTED_SCHEMA`.
    """
    planted = plant(plan, shape, np.random.default_rng([seed, 0]))
    for kind, plans, sets in (
        (Kind.SUBSET, plan.subsets, planted.subsets),
        (Kind.BENCHMARK, plan.benchmarks, planted.benchmarks),
    ):
        for index, (of_set, assigned) in enumerate(zip(plans, sets, strict=True)):
            random = np.random.default_rng([seed, 1 + list(Kind).index(kind), index])
            made = _make_set(kind, of_set, assigned, planted, random)
            images = _write_images(lake, made, random)
            _write_embeddings(lake, made, images, planted, shape, random)
            _write_source(source, made)
            if kind is Kind.SUBSET:
                _write_quality(lake, made, random)
                lake.write(
                    LakeTable.VERIFIED_DUPLICATES, of_set.name, code_version=CODE_VERSION, model_id=MODEL_ID
                ).commit()
            progress(of_set.images)
    return planted.pairs


def change_subset(lake: Lake, plan: Plan, shape: Shape, *, seed: int = 0) -> str:
    """Replace all images of the subset of median size by others, without planted ones; return the subset's name.

    The source keeps its placeholders.

    Args:
        lake: the lake that `make_lake` has created.
        plan: its subsets and benchmarks.
        shape: the distribution of the vectors.
        seed: equal seeds and shapes make equal changes.
    """
    by_size = sorted((subset for subset in plan.subsets if subset.images), key=lambda subset: subset.images)
    changed = by_size[len(by_size) // 2]
    random = np.random.default_rng([seed, 3])
    none = np.empty(0, np.int64)
    vectors = np.empty((0, len(shape.mean)), np.float16)
    nothing = Planted(np.empty(0, "S32"), vectors, [], [], PLANTED_SCHEMA.empty_table())
    made = _make_set(Kind.SUBSET, changed, Assigned(none, none), nothing, random)
    _write_embeddings(lake, made, _write_images(lake, made, random), nothing, shape, random)
    return changed.name


def _make_set(kind: Kind, plan: SetPlan, assigned: Assigned, planted: Planted, random: np.random.Generator) -> _Set:
    ids = draw_ids(random, plan.unique).copy()
    indices = np.full(plan.unique, -1, np.int64)
    indices[assigned.images] = assigned.planted
    ids[assigned.images] = planted.ids[assigned.planted]
    readable = np.ones(plan.unique, bool)
    if kind is Kind.SUBSET:
        readable = (random.random(plan.unique) >= UNREADABLE) | (indices >= 0)
    return _Set(kind, plan, ids, readable, indices)


def _write_images(lake: Lake, made: _Set, random: np.random.Generator) -> Manifest:
    table, _ = TABLES[made.kind]
    write = lake.write(table, made.plan.name, code_version=CODE_VERSION, source_revision=made.revision)
    for name, start, stop in made.shards():
        first = made.images_before(start)
        images = made.image_at(first, made.images_before(stop))
        # Number of positions before each row of the shard, and before the row after it.
        before = np.arange(start, stop + 1) * made.plan.images // made.plan.rows
        with write.add(name) as unit:
            listed = columns.images(
                name, np.arange(start, stop), np.diff(before), made.ids[images], made.readable[images], random
            )
            unit.table("rows", listed, IMAGES_SCHEMA)
    statuses = lake.read(write.draft(), columns=["image_id", "status"])
    readable = statuses.filter(pc.equal(statuses["status"], "ok"))
    return write.commit(
        rows=made.plan.rows,
        images=statuses.num_rows,
        images_unique=pc.count_distinct(readable["image_id"]).as_py(),
        images_unreadable=statuses.num_rows - readable.num_rows,
        digests={},
        files=[(name, stop - start) for name, start, stop in made.shards()],
        observed_version=made.revision,
    )


def _write_embeddings(
    lake: Lake, made: _Set, images: Manifest, planted: Planted, shape: Shape, random: np.random.Generator
) -> None:
    positions = first_positions(lake.read(images, columns=["row", "image_index", "image_id", "status"]))
    index, rows = IdIndex(made.ids), positions["row"].to_numpy()
    write = lake.write(
        TABLES[made.kind][1],
        made.plan.name,
        code_version=CODE_VERSION,
        inputs={images.table: images.digest},
        model_id=MODEL_ID,
        source_revision=made.revision,
    )
    for name, start, stop in made.shards():
        first, end = np.searchsorted(rows, [start, stop])
        wanted = positions.slice(first, end - first)
        indices = made.planted[index.rows(wanted["image_id"])]
        vectors = shape.draw(random, wanted.num_rows).astype(np.float16)
        vectors[indices >= 0] = planted.vectors[indices[indices >= 0]]
        with write.add(name) as unit:
            unit.array("vectors", vectors)
            unit.table("ids", wanted.select(["image_id"]), IDS_SCHEMA)
    write.commit(dimension=len(shape.mean))


def _write_quality(lake: Lake, made: _Set, random: np.random.Generator) -> None:
    write = lake.write(LakeTable.QUALITY_ROWS, made.plan.name, code_version=CODE_VERSION, source_revision=made.revision)
    turns = 0
    for name, start, stop in made.shards():
        rated = columns.ratings(np.arange(start, stop), random)
        turns += pc.sum(rated["turns"]).as_py()
        with write.add(name) as unit:
            unit.table("rows", rated, QUALITY_SCHEMA)
            unit.table("histogram", columns.histogram(rated), HISTOGRAM_SCHEMA)
            unit.table("rules", columns.no_rules(), RULES_SCHEMA)
    write.commit(rows=made.plan.rows, rows_kept=made.plan.rows, turns=turns, turns_kept=turns)


def _write_source(source: Path, made: _Set) -> None:
    """Write Parquet files with the same number of images in each row; every image is the placeholder."""
    folder = source / made.kind.value / made.plan.name
    folder.mkdir(parents=True)
    image = pa.scalar(_placeholder(), pa.binary())
    for name, start, stop in made.shards():
        offsets = np.arange(start, stop + 1) * made.plan.images // made.plan.rows
        offsets -= offsets[0]
        encoded = pa.repeat(image, int(offsets[-1]))
        images = pa.StructArray.from_arrays([encoded, pa.nulls(len(encoded), pa.string())], ["bytes", "path"])
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), images)
        pq.write_table(pa.table({"images": lists}), folder / name, compression="zstd")


def _placeholder() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 150)).save(stream, "PNG")
    return stream.getvalue()
