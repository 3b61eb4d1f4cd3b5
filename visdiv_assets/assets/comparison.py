"""What the assets that compare pixels share: the two sides of a comparison, candidates, verdicts known before."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.assets.common import embedded, shown
from visdiv_assets.imaging.listing import first_positions
from visdiv_assets.progress import Progress, silent
from visdiv_assets.resources import DecoderResource, PairSearchResource, VerificationResource
from visdiv_assets.search.candidates import Pictures, candidates
from visdiv_assets.search.contamination import LOCATED_SCHEMA
from visdiv_assets.search.verification import VERDICT_FIELDS, VERDICT_SCHEMA, Fetch, compare_pairs
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.manifest import Manifest

CODE_VERSION = "2"

PAIR_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
    ]
)
VERIFIED_SCHEMA = pa.schema([*PAIR_SCHEMA, *VERDICT_FIELDS])
LEAKS_SCHEMA = pa.schema([*LOCATED_SCHEMA, ("pdq_distance", pa.int16()), *VERDICT_FIELDS])


class Side(NamedTuple):
    """The pictures of a subset or benchmark, and how to fetch them."""

    pictures: Pictures
    fetch: Fetch


def settings_of(verification: VerificationResource) -> dict[str, float]:
    """The settings that decide which pairs are compared."""
    return {
        "candidate_floor": verification.candidate_floor,
        "candidates_kept": verification.candidates_kept,
        "pdq_distance": verification.pdq_distance,
    }


def side_of(store: Lake, source: Source, kind: Kind, images: Manifest, embeddings: Manifest) -> Side:
    """The pictures of a subset or benchmark, by the manifests of its images and embeddings."""
    of_side = embedded(store, embeddings)
    columns = ["row", "image_index", "image_id", "status", "pdq"]
    listed = store.read(images, columns=columns)
    first = first_positions(listed)
    ids = first["image_id"].to_numpy().astype("S32")
    order = np.argsort(ids)
    ids = ids[order]
    row, index = first["row"].to_numpy()[order], first["image_index"].to_numpy()[order]
    hashes = listed.take(pc.index_in(of_side.image_ids, listed["image_id"].combine_chunks()))["pdq"].combine_chunks()

    def fetch(image_ids: Sequence[str]) -> list[bytes | None]:
        places = np.searchsorted(ids, np.array(image_ids, "S32"))
        return source.fetch(kind, images.partition, [(int(row[place]), int(index[place])) for place in places])

    return Side(Pictures(of_side.image_ids, of_side.vectors, hashes), fetch)


def candidate_pairs(
    left: Side, right: Side | None, verification: VerificationResource, pair_search: PairSearchResource
) -> pa.Table:
    """The pairs to compare, told in image_ids: table of `PAIR_SCHEMA`, by the left picture."""
    found = candidates(
        left.pictures,
        right.pictures if right else None,
        floor=verification.candidate_floor,
        k_best=verification.candidates_kept,
        pdq_distance=verification.pdq_distance,
        device=pair_search.joins_on(),
    )
    other = (right or left).pictures
    pairs = pa.table(
        [
            left.pictures.image_ids.take(found["left"]),
            other.image_ids.take(found["right"]),
            found["similarity"],
            found["pdq_distance"],
        ],
        schema=PAIR_SCHEMA,
    )
    if right is None:
        pairs = in_order(pairs)
    return pairs.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")])


def compared(
    pairs: pa.Table,
    fetch_a: Fetch,
    fetch_b: Fetch,
    known: pa.Table,
    decoder: DecoderResource,
    advance: Progress = silent,
) -> tuple[pa.Table, int]:
    """The pairs with their verdicts, table of `VERIFIED_SCHEMA`, and how many were not among the known ones."""
    keys, known_keys = (
        pc.binary_join_element_wise(table["image_id_a"], table["image_id_b"], " ") for table in (pairs, known)
    )
    place = pc.index_in(keys, known_keys.combine_chunks()).combine_chunks()
    old, fresh = pairs.filter(pc.is_valid(place)), pairs.filter(pc.is_null(place))
    advance(old.num_rows)
    parts = [_beside(old, known.select(VERDICT_SCHEMA.names).take(place.drop_null()))]
    if fresh.num_rows:
        a, b = (fresh[name].to_pylist() for name in ("image_id_a", "image_id_b"))
        found = compare_pairs(a, b, fetch_a, fetch_b, threads=decoder.thread_count, **decoder.limits, progress=advance)
        parts.append(_beside(fresh, found))
    together = pa.concat_tables(parts)
    return together.sort_by([("image_id_a", "ascending"), ("image_id_b", "ascending")]), fresh.num_rows


def _beside(pairs: pa.Table, verdicts: pa.Table) -> pa.Table:
    return pa.table([*pairs.columns, *verdicts.columns], schema=VERIFIED_SCHEMA)


def either(left: Side, right: Side) -> Fetch:
    """Fetches pictures that one of two sets holds."""

    def fetch(image_ids: Sequence[str]) -> list[bytes | None]:
        wanted = pa.array(image_ids, pa.string())
        in_left = pc.is_in(wanted, left.pictures.image_ids).to_numpy(zero_copy_only=False)
        found: list[bytes | None] = [None] * len(image_ids)
        for side, numbers in ((left, np.flatnonzero(in_left)), (right, np.flatnonzero(~in_left))):
            fetched = side.fetch([image_ids[number] for number in numbers.tolist()])
            for number, data in zip(numbers.tolist(), fetched, strict=True):
                found[number] = data
        return found

    return fetch


class KnownVerdicts:
    """The verdicts of an earlier run; a verdict depends on the two pictures and on the code alone."""

    def __init__(self, store: Lake, table: str, partition: str, ids: tuple[str, str] = ("image_id_a", "image_id_b")):
        """Look for an earlier run.

        Args:
            store: the lake.
            table: the table that holds the verdicts, in the role `pairs`.
            partition: its partition.
            ids: the columns of the two pictures' image_ids.
        """
        self._store, self._ids = store, ids
        manifest = store.manifest(table, partition)
        self._manifest = manifest if manifest and manifest.code_version == CODE_VERSION else None

    def of(self, unit: str) -> pa.Table:
        """The verdicts that a unit of work may need: image_id_a, image_id_b and the columns of `VERDICT_SCHEMA`.

        They are in the unit of that name, or in those that it was cut into or cut from, whose names begin alike.
        """
        if self._manifest is not None:
            units = [old for old in self._manifest.units if old.name.startswith(unit) or unit.startswith(old.name)]
            part = replace(self._manifest, units=tuple(units))
            if part.files("pairs"):
                found = self._store.read(part, "pairs", columns=[*self._ids, *VERDICT_SCHEMA.names])
                return found.rename_columns(["image_id_a", "image_id_b", *VERDICT_SCHEMA.names])
        return VERIFIED_SCHEMA.empty_table().select(["image_id_a", "image_id_b", *VERDICT_SCHEMA.names])


def digest_of(pairs: pa.Table) -> str:
    """SHA-256 of the image_ids of pairs, in their order."""
    found = hashlib.sha256()
    for name in ("image_id_a", "image_id_b"):
        found.update("".join(pairs[name].to_pylist()).encode())
    return found.hexdigest()


def located_pairs(pairs: pa.Table, locate: Callable[[pa.Table, Manifest], pa.Table], listed: Manifest) -> pa.Table:
    """Compared pairs of a subset and a benchmark with the benchmark's positions: table of `LEAKS_SCHEMA`."""
    named = pairs.rename_columns({"image_id_a": "image_id", "image_id_b": "benchmark_image_id"})
    rest = [pairs[name] for name in ("pdq_distance", *VERDICT_SCHEMA.names)]
    return pa.table([*locate(named, listed).columns, *rest], schema=LEAKS_SCHEMA)


def metadata_of(found: pa.Table, compared: int, write: PartitionWrite) -> dict[str, object]:
    """What the UI shows of compared pairs, of which `compared` were compared in this run."""
    by_evidence = found.group_by(["evidence", "reason"]).aggregate([([], "count_all")])
    order = [("count_all", "descending"), ("evidence", "ascending"), ("reason", "ascending")]
    return {
        "dagster/partition_row_count": found.num_rows,
        "pairs_compared": compared,
        "pairs_reused": found.num_rows - compared,
        "pairs_confirmed": int(pc.sum(found["verified"]).as_py() or 0),
        "evidence": shown(by_evidence.sort_by(order)),
        "units_reused": write.reused,
    }


def in_order(pairs: pa.Table) -> pa.Table:
    """The pairs with the lower image_id first."""
    a, b = pairs["image_id_a"], pairs["image_id_b"]
    swapped = pc.greater(a, b)
    result = pairs.set_column(0, "image_id_a", pc.if_else(swapped, b, a))
    return result.set_column(1, "image_id_b", pc.if_else(swapped, a, b))
