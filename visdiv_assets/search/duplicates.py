"""Near duplicates within one set of pictures: a self-join told in image_ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.progress import Progress, silent
from visdiv_assets.search.join import Matrix, join

PAIRS_SCHEMA = pa.schema([("image_id_a", pa.string()), ("image_id_b", pa.string()), ("similarity", pa.float32())])


@dataclass(frozen=True)
class NearDuplicates:
    """Close pairs, and how many neighbours each picture has.

    Attributes:
        pairs: table of `PAIRS_SCHEMA`, image_id_a < image_id_b, sorted; at most K per picture chose it.
        counts: table of image_id and one int64 column per threshold asked for, in the order of the vectors; in full.
    """

    pairs: pa.Table
    counts: pa.Table


def near_duplicates(
    image_ids: pa.Array,
    vectors: Matrix,
    *,
    floor: float,
    k_best: int,
    count_at: Mapping[str, float],
    progress: Progress = silent,
) -> NearDuplicates:
    """Find the pairs of different pictures whose similarity reaches a floor.

    Args:
        image_ids: string [n], each once: byte-equal copies are one picture.
        vectors: their unit vectors [n, d].
        floor: smallest similarity of a pair.
        k_best: a pair is kept only if it is among this many best of one of its two pictures.
        count_at: thresholds, none below the floor, by the name of the column that counts neighbours there.
        progress: told of tiles; there are `join.tiles(n)`.
    """
    result = join(vectors, None, floor, k_best=k_best, count_at=list(count_at.values()), progress=progress)
    left = pc.take(image_ids, result.pairs["left"])
    right = pc.take(image_ids, result.pairs["right"])
    pairs = pa.table(
        [
            pc.min_element_wise(left, right),
            pc.max_element_wise(left, right),
            # Stored vectors are rounded to float16: the product of a picture with its copy may exceed 1 by 1e-3.
            pc.min_element_wise(result.pairs["similarity"], pa.scalar(1, pa.float32())),
        ],
        schema=PAIRS_SCHEMA,
    )
    counts = pa.table({"image_id": image_ids, **dict(zip(count_at, result.left_counts, strict=True))})
    return NearDuplicates(pairs.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")]), counts)


def closest(pairs: pa.Table, count: int) -> pa.Table:
    """The closest pairs of a table of `PAIRS_SCHEMA`, ties by image_id."""
    order = [("similarity", "descending"), ("image_id_a", "ascending"), ("image_id_b", "ascending")]
    return pairs.take(pc.select_k_unstable(pairs, k=min(count, pairs.num_rows), sort_keys=order))


def pair_defects(pairs: pa.Table, floor: float) -> dict[str, int]:
    """Count what no pair may be: of a picture with itself, below the floor, or listed twice."""
    a, b = pairs["image_id_a"], pairs["image_id_b"]
    different = pairs.group_by(["image_id_a", "image_id_b"]).aggregate([]).num_rows
    return {
        "self_pairs": int(pc.sum(pc.equal(a, b)).as_py() or 0),
        "below_floor": int(np.count_nonzero(pairs["similarity"].to_numpy() < np.float32(floor))),
        "listed_twice": pairs.num_rows - different,
    }
