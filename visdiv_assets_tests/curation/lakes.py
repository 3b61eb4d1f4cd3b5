"""A small lake with the tables that decisions are based on, each written from a few tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.contamination.images import LOCATED_SCHEMA
from visdiv_assets.curation.quality import QUALITY_SCHEMA
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


@dataclass(frozen=True)
class Listed:
    """An image position; `image` is a letter that determines its image_id."""

    row: int
    image: str
    index: int = 0
    status: str = "ok"
    detail: str = ""
    width: int = 10
    height: int = 10
    format: str | None = "jpeg"


def image_id(image: str) -> str:
    """Return the image_id of a letter; letters sort as their image_ids do."""
    return image * 32


def add_images(lake: Lake, subset: str, rows: int, *shards: Sequence[Listed], revision: str = "1") -> Manifest:
    """Write `subset_images` with one unit for each list."""
    write = lake.write("subset_images", subset, code_version="1", source_revision=revision)
    for index, positions in enumerate(shards or [[]]):
        records = [
            {
                "row": place.row,
                "image_index": place.index,
                "image_id": image_id(place.image) if place.image else None,
                "format": place.format if place.status == "ok" else None,
                "width": place.width if place.status == "ok" else None,
                "height": place.height if place.status == "ok" else None,
                "size_bytes": 1,
                "status": place.status,
                "detail": place.detail,
            }
            for place in positions
        ]
        with write.add(f"shard {index}") as unit:
            unit.table("rows", pa.Table.from_pylist(records, IMAGES_SCHEMA), IMAGES_SCHEMA)
    return write.commit(rows=rows, files=[("train.parquet", rows)])


def add_turns(lake: Lake, images: Manifest, *texts: str) -> Manifest:
    """`subset_turns` of a list of images: a turn in each row, of which only the question is stored."""
    write = lake.write("subset_turns", images.partition, code_version="1", inputs={images.table: images.digest})
    with write.add("shard") as unit:
        turns = pa.table({"row": pa.array(range(len(texts)), pa.int64()), "user": list(texts)})
        unit.table("turns", turns, turns.schema)
    return write.commit()


def add_quality(
    lake: Lake, subset: str, rows: Sequence[tuple[bool, float | None]], turns: Manifest | None = None
) -> Manifest:
    """`quality_rows`: whether each row is kept, and its mean rating; of the given turns."""
    records = [{"row": row, "kept": kept, "rating": rating} for row, (kept, rating) in enumerate(rows)]
    inputs = {turns.table: turns.digest} if turns else {}
    write = lake.write("quality_rows", subset, code_version="1", inputs=inputs)
    with write.add("shard") as unit:
        unit.table("rows", pa.Table.from_pylist(records, QUALITY_SCHEMA), QUALITY_SCHEMA)
    return write.commit()


def add_leaks(lake: Lake, subset: str, pairs: Mapping[str, Sequence[tuple[str, int, float]]]) -> Manifest:
    """`contamination`, one unit for each benchmark: image, benchmark row and similarity."""
    write = lake.write("contamination", subset, code_version="1", model_id="model")
    for benchmark, found in pairs.items():
        records = [
            {
                "image_id": image_id(image),
                "benchmark": benchmark,
                "benchmark_row": row,
                "benchmark_image": 1,
                "benchmark_image_id": "0" * 32,
                "benchmark_positions": 1,
                "similarity": similarity,
                "low_information": False,
            }
            for image, row, similarity in found
        ]
        with write.add(benchmark) as unit:
            unit.table("pairs", pa.Table.from_pylist(records, LOCATED_SCHEMA), LOCATED_SCHEMA)
    return write.commit()


def add_embeddings(
    lake: Lake, subset: str, *shards: tuple[str, np.ndarray], model_id: str = "model", table: str = "sscd_embeddings"
) -> Manifest:
    """`sscd_embeddings` with one unit for each: letters of its images, and their vectors."""
    write = lake.write(table, subset, code_version="1", model_id=model_id)
    for index, (images, vectors) in enumerate(shards):
        with write.add(f"shard {index}") as unit:
            unit.array("vectors", vectors.astype(np.float16))
            unit.table("ids", pa.table([[image_id(p) for p in images]], schema=IDS_SCHEMA), IDS_SCHEMA)
    return write.commit()


def add_pairs(
    lake: Lake, table: str, partition: str, *units: Sequence[tuple[str, str, float]], model_id: str = "model"
) -> Manifest:
    """`near_duplicates` of a subset, or `cross_subset_duplicates`: pairs of letters with their similarity."""
    write = lake.write(table, partition, code_version="1", model_id=model_id)
    for index, pairs in enumerate(units):
        records = [{"image_id_a": image_id(a), "image_id_b": image_id(b), "similarity": value} for a, b, value in pairs]
        with write.add(f"unit {index}") as unit:
            unit.table("pairs", pa.Table.from_pylist(records, PAIRS_SCHEMA), PAIRS_SCHEMA)
    return write.commit()
