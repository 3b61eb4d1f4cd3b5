"""Making the lake and the source that the stages read: real tables, made-up content, one shard at a time.

The tables are those that `subset_images`, `quality_rows`, `sscd_embeddings` and the benchmarks' assets write. The
source has the same rows, each image a stand-in of a few bytes, so that what fetches single images finds files of
the right length. `verified_duplicates` is written without pairs: pixels are not compared.
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
from visdiv_assets.embedding.shards import IDS_SCHEMA, positions_between
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.perf.rehearsal import columns
from visdiv_assets.perf.rehearsal.plan import Plan, SetPlan
from visdiv_assets.perf.rehearsal.planting import Given, Planted, made_up_ids, plant
from visdiv_assets.perf.rehearsal.shape import Shape
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of

MODEL_ID = "rehearsal/made_up"
CODE_VERSION = "rehearsal"

#: Tables of images and of vectors.
TABLES = {
    Kind.SUBSET: (LakeTable.SUBSET_IMAGES, LakeTable.SSCD_EMBEDDINGS),
    Kind.BENCHMARK: (LakeTable.BENCHMARK_IMAGES, LakeTable.BENCHMARK_EMBEDDINGS),
}

#: Rows of a shard; FineVision's have 2,000 to 20,000.
SHARD_ROWS = 10_000

#: Share of a subset's images that cannot be read.
UNREADABLE = 0.001


@dataclass(frozen=True)
class _Set:
    """A subset or benchmark in the making.

    Attributes:
        kind: which of the two.
        plan: how much is in it.
        ids: S32 [images].
        readable: bool [images].
        planted: int64 [images], number among the planted ones, -1 for an image that is drawn.
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
        """Name, first row and the row after the last of each shard."""
        count = -(-self.plan.rows // SHARD_ROWS)
        for number in range(count):
            start = number * SHARD_ROWS
            yield f"train-{number:05d}-of-{count:05d}.parquet", start, min(start + SHARD_ROWS, self.plan.rows)

    def images_before(self, row: int) -> int:
        """Image positions in earlier rows: they are spread evenly over the rows."""
        return row * self.plan.images // self.plan.rows

    def image_at(self, first: int, stop: int) -> np.ndarray:
        """Numbers of the images at some positions of the set, int64 [stop - first]."""
        if not self.plan.images:
            return np.empty(0, np.int64)
        return np.arange(first, stop) * self.plan.unique // self.plan.images


def make_lake(
    lake: Lake, source: Path, plan: Plan, shape: Shape, *, seed: int = 0, progress: Progress = silent
) -> pa.Table:
    """Make all tables that the stages begin with.

    Args:
        lake: an empty one.
        source: folder to make the source in.
        plan: what to make.
        shape: of the vectors.
        seed: the same seed and shape make the same lake.
        progress: told of image positions made.

    Returns:
        the planted pairs, table of `planting.PLANTED_SCHEMA`.
    """
    planted = plant(plan, shape, np.random.default_rng([seed, 0]))
    for kind, plans, places in (
        (Kind.SUBSET, plan.subsets, planted.subsets),
        (Kind.BENCHMARK, plan.benchmarks, planted.benchmarks),
    ):
        for number, (of_set, given) in enumerate(zip(plans, places, strict=True)):
            random = np.random.default_rng([seed, 1 + list(Kind).index(kind), number])
            made = _set(kind, of_set, given, planted, random)
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


def _set(kind: Kind, plan: SetPlan, given: Given, planted: Planted, random: np.random.Generator) -> _Set:
    ids = made_up_ids(random, plan.unique).copy()
    number = np.full(plan.unique, -1, np.int64)
    number[given.images] = given.planted
    ids[given.images] = planted.ids[given.planted]
    readable = np.ones(plan.unique, bool)
    if kind is Kind.SUBSET:
        readable = (random.random(plan.unique) >= UNREADABLE) | (number >= 0)
    return _Set(kind, plan, ids, readable, number)


def _write_images(lake: Lake, made: _Set, random: np.random.Generator) -> Manifest:
    table, _ = TABLES[made.kind]
    write = lake.write(table, made.plan.name, code_version=CODE_VERSION, source_revision=made.revision)
    for name, start, stop in made.shards():
        first = made.images_before(start)
        images = made.image_at(first, made.images_before(stop))
        # Positions of a row stand together, the last of the shard's rows included.
        before = np.arange(start, stop + 1) * made.plan.images // made.plan.rows
        with write.add(name) as unit:
            listed = columns.images(
                np.arange(start, stop), np.diff(before), made.ids[images], made.readable[images], random
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
        observed_version=made.revision,
    )


def _write_embeddings(
    lake: Lake, made: _Set, images: Manifest, planted: Planted, shape: Shape, random: np.random.Generator
) -> None:
    positions = first_positions(lake.read(images, columns=["row", "image_index", "image_id", "status"]))
    order = np.argsort(made.ids)
    write = lake.write(
        TABLES[made.kind][1],
        made.plan.name,
        code_version=CODE_VERSION,
        inputs={images.table: images.digest},
        model_id=MODEL_ID,
        source_revision=made.revision,
    )
    for name, start, stop in made.shards():
        wanted = positions_between(positions, start, stop)
        ids = wanted["image_id"].to_numpy().astype("S32")
        number = made.planted[order[np.searchsorted(made.ids, ids, sorter=order)]]
        vectors = shape.draw(random, len(ids)).astype(np.float16)
        vectors[number >= 0] = planted.vectors[number[number >= 0]]
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
    """Parquet files with as many images in each row, all of them the same stand-in."""
    folder = source / made.kind.value / made.plan.name
    folder.mkdir(parents=True)
    image = pa.scalar(_stand_in(), pa.binary())
    for name, start, stop in made.shards():
        offsets = np.arange(start, stop + 1) * made.plan.images // made.plan.rows
        offsets -= offsets[0]
        encoded = pa.repeat(image, int(offsets[-1]))
        images = pa.StructArray.from_arrays([encoded, pa.nulls(len(encoded), pa.string())], ["bytes", "path"])
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), images)
        pq.write_table(pa.table({"images": lists}), folder / name, compression="zstd")


def _stand_in() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 150)).save(stream, "PNG")
    return stream.getvalue()
