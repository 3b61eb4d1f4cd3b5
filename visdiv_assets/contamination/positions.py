"""Positions of contaminated images in the benchmarks that they are copies of, read from the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.images import BENCHMARK_PAIRS_SCHEMA, LOCATED_SCHEMA, locate_pairs
from visdiv_assets.corpus.access import readable_positions
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import rows_of
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA, Decisions
from visdiv_assets.duplicates.verify_pairs import VERDICT_FIELDS
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.pair_similarity import pair_similarities

#: Candidate pairs of a subset's and a benchmark's images, with positions in the benchmark.
LOCATED_CANDIDATES_SCHEMA = pa.schema([*LOCATED_SCHEMA, ("pdq_distance", pa.int16())])
#: The same pairs, compared.
VERIFIED_LEAKS_SCHEMA = pa.schema([*LOCATED_CANDIDATES_SCHEMA, *VERDICT_FIELDS])

#: What people said about a pair of a subset's and a benchmark's images, whether it was compared or not.
SAID = ["decision", "decided_at", "decided_by", "kind", "verdict", "sampled"]
DECIDED_LEAKS_SCHEMA = pa.schema([*LOCATED_SCHEMA, *map(DECISIONS_SCHEMA.field, SAID)])
_UNLOCATED_SCHEMA = pa.schema([*BENCHMARK_PAIRS_SCHEMA, *map(DECISIONS_SCHEMA.field, SAID)])
#: The columns that tell such pairs apart.
LEAK_IDS = ("image_id", "benchmark", "benchmark_image_id")

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
    for name in pc.unique(found["benchmark"]).to_pylist():
        pairs, listed = found.filter(pc.equal(found["benchmark"], name)), benchmarks[name]
        keys = {"benchmark_row": "row", "benchmark_image": "image_index", "benchmark_image_id": "image_id"}
        held = pairs.select(list(keys)).join(listed, list(keys), list(keys.values()), join_type="left semi")
        unresolved += pairs.num_rows - held.num_rows
    return unresolved


def decided_leaks(
    lake: Lake, embeddings: Manifest, benchmarks: Mapping[str, Manifest], decisions: Decisions
) -> pa.Table:
    """Return the decisions on pairs of a subset's and a benchmark's images that change something.

    Args:
        lake: where the vectors are.
        embeddings: manifest of the subset's embeddings.
        benchmarks: manifests of the embeddings of benchmarks, by name.
        decisions: all decisions.

    Returns:
        table with the columns `LEAK_IDS`, similarity, which is that of the stored vectors, and those of `SAID`; each
        pair once for each benchmark that holds its image.
    """
    effective, wanted = decisions.effective, decisions.image_ids
    found = [_UNLOCATED_SCHEMA.empty_table()]
    own = rows_of(lake, embeddings, wanted) if len(wanted) else np.empty(0, np.int64)
    if not (own >= 0).any():
        return found[0]
    vectors = lake.array(embeddings, "vectors")
    sides = [pc.index_in(effective[name], wanted).to_numpy() for name in SIDES]
    for name, manifest in benchmarks.items():
        rows, others = rows_of(lake, manifest, wanted), lake.array(manifest, "vectors")
        # Bytes that are in both are a pair in one direction only.
        for one, other in (sides, sides[::-1]):
            chosen = (own[one] >= 0) & (rows[other] >= 0) & ((one != other) | (one is sides[0]))
            one_rows, other_rows = one[chosen], other[chosen]
            columns = [
                wanted.take(pa.array(one_rows)),
                pa.repeat(name, len(one_rows)),
                wanted.take(pa.array(other_rows)),
                pair_similarities(vectors, others, own[one_rows], rows[other_rows]),
                *effective.filter(pa.array(chosen)).select(SAID).columns,
            ]
            found.append(pa.table(columns, schema=_UNLOCATED_SCHEMA))
    return pa.concat_tables(found)


def locate_decisions(decided: pa.Table, locate: Locate) -> pa.Table:
    """Add positions to the decisions of `decided_leaks`: table of `DECIDED_LEAKS_SCHEMA`."""
    return pa.table([*locate(decided).columns, *decided.select(SAID).columns], schema=DECIDED_LEAKS_SCHEMA)
