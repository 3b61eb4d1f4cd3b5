"""Positions of contaminated images in the benchmarks that they are copies of, read from the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import LOCATED_SCHEMA, locate_pairs
from visdiv_assets.corpus.access import readable_positions
from visdiv_assets.duplicates.verify_pairs import VERDICT_FIELDS
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Candidate pairs of a subset's and a benchmark's images, with positions in the benchmark.
LOCATED_CANDIDATES_SCHEMA = pa.schema([*LOCATED_SCHEMA, ("pdq_distance", pa.int16())])
#: The same pairs, compared.
VERIFIED_LEAKS_SCHEMA = pa.schema([*LOCATED_CANDIDATES_SCHEMA, *VERDICT_FIELDS])

#: Adds positions to pairs with the columns of `BENCHMARK_PAIRS_SCHEMA`.
Locate = Callable[[pa.Table], pa.Table]


def make_locator(lake: Lake, images: Manifest, nearest: Manifest, benchmarks: Mapping[str, pa.Table]) -> Locate:
    """Return a function that adds positions in benchmarks to pairs of a subset; see `images.locate_pairs`.

    Args:
        lake: where the subset is listed.
        images: manifest of the list of its images.
        nearest: manifest of its near duplicates.
        benchmarks: readable positions of the benchmarks, by name.
    """
    flags = readable_positions(lake, images).select(["image_id", "low_information"])
    background = lake.read(nearest, "counts", columns=["image_id", "background_similarity"])

    def locate(pairs: pa.Table) -> pa.Table:
        return locate_pairs(pairs, benchmarks, flags, background) if benchmarks else LOCATED_SCHEMA.empty_table()

    return locate


def count_unresolved(found: pa.Table, image_ids: pa.Array, benchmarks: Mapping[str, pa.Table]) -> int:
    """Count the pairs whose subset image does not exist, or whose benchmark image is not at the stated position.

    Args:
        found: table of `LOCATED_SCHEMA`.
        image_ids: string, the images of the subset.
        benchmarks: readable positions of the benchmarks, by name: row, image_index, image_id.
    """
    known = pc.is_in(found["image_id"], image_ids)
    unresolved: int = found.num_rows - int(pc.sum(known).as_py() or 0)
    for name, listed in benchmarks.items():
        pairs = found.filter(pc.equal(found["benchmark"], name))
        keys = {"benchmark_row": "row", "benchmark_image": "image_index", "benchmark_image_id": "image_id"}
        held = pairs.select(list(keys)).join(listed, list(keys), list(keys.values()), join_type="left semi")
        unresolved += pairs.num_rows - held.num_rows
    return unresolved
