"""The pixels of a subset's images compared, with each other or with another set's: candidates, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import load_embeddings
from visdiv_assets.duplicates.candidates import Images, candidates
from visdiv_assets.duplicates.verify_pairs import VERDICT_FIELDS, VERDICT_SCHEMA, Fetch, compare_pairs
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

PAIR_SCHEMA = pa.schema(
    [
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
    ]
)
VERIFIED_SCHEMA = pa.schema([*PAIR_SCHEMA, *VERDICT_FIELDS])

#: The columns of the two images of a pair.
SIDES = ("image_id_a", "image_id_b")


def load_images(store: Lake, images: Manifest, embeddings: Manifest) -> Images:
    """The images of a subset or benchmark, by the manifests of its images and embeddings."""
    of_side = load_embeddings(store, embeddings)
    listed = store.read(images, columns=["image_id", "pdq"])
    hashes = listed.take(pc.index_in(of_side.image_ids, listed["image_id"].combine_chunks()))["pdq"].combine_chunks()
    return Images(of_side.image_ids, of_side.vectors, hashes)


def candidate_pairs(
    left: Images, right: Images | None, *, floor: float, k_best: int, pdq_distance: int, device: str
) -> pa.Table:
    """The pairs to compare, told in image_ids: table of `PAIR_SCHEMA`, by the left image; see `candidates`."""
    found = candidates(left, right, floor=floor, k_best=k_best, pdq_distance=pdq_distance, device=device)
    other = right or left
    pairs = pa.table(
        [
            left.image_ids.take(found["left"]),
            other.image_ids.take(found["right"]),
            found["similarity"],
            found["pdq_distance"],
        ],
        schema=PAIR_SCHEMA,
    )
    if right is None:
        pairs = order_sides(pairs)
    return pairs.sort_by([(name, "ascending") for name in SIDES])


def verify_candidates(
    pairs: pa.Table,
    fetch_a: Fetch,
    fetch_b: Fetch,
    known: pa.Table,
    *,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> tuple[pa.Table, int]:
    """The pairs with their verdicts, table of `VERIFIED_SCHEMA`, and how many were not among the known ones."""
    keys, known_keys = (pc.binary_join_element_wise(*(table[name] for name in SIDES), " ") for table in (pairs, known))
    place = pc.index_in(keys, known_keys.combine_chunks()).combine_chunks()
    old, fresh = pairs.filter(pc.is_valid(place)), pairs.filter(pc.is_null(place))
    progress(old.num_rows)
    parts = [_beside(old, known.select(VERDICT_SCHEMA.names).take(place.drop_null()))]
    if fresh.num_rows:
        a, b = (fresh[name].to_pylist() for name in SIDES)
        found = compare_pairs(a, b, fetch_a, fetch_b, threads=threads, limits=limits, progress=progress)
        parts.append(_beside(fresh, found))
    together = pa.concat_tables(parts)
    return together.sort_by([(name, "ascending") for name in SIDES]), fresh.num_rows


def _beside(pairs: pa.Table, verdicts: pa.Table) -> pa.Table:
    return pa.table([*pairs.columns, *verdicts.columns], schema=VERIFIED_SCHEMA)


def fetch_from_either(left_ids: pa.Array, fetch_left: Fetch, fetch_right: Fetch) -> Fetch:
    """Fetches images that one of two sets holds; those of `left_ids` from the left one."""

    def fetch(image_ids: Sequence[str]) -> list[bytes | None]:
        wanted = pa.array(image_ids, pa.string())
        in_left = pc.is_in(wanted, left_ids).to_numpy(zero_copy_only=False)
        found: list[bytes | None] = [None] * len(image_ids)
        for fetch_side, numbers in ((fetch_left, np.flatnonzero(in_left)), (fetch_right, np.flatnonzero(~in_left))):
            fetched = fetch_side([image_ids[number] for number in numbers.tolist()])
            for number, data in zip(numbers.tolist(), fetched, strict=True):
                found[number] = data
        return found

    return fetch


def known_verdicts(store: Lake, earlier: Manifest | None, ids: tuple[str, str] = SIDES) -> Callable[[str], pa.Table]:
    """The verdicts of an earlier run; a verdict depends on the two images and on the code alone.

    Args:
        store: the lake.
        earlier: manifest of a table that holds verdicts of the same code, in the role `pairs`; None if there is none.
        ids: the columns of the two images' image_ids.

    Returns:
        a function that gives those that a unit of work may need: image_id_a, image_id_b and the columns of
        `VERDICT_SCHEMA`. They are in the unit of that name, or in those that it was cut into or cut from, whose names
        begin alike.
    """

    def of(unit: str) -> pa.Table:
        if earlier is not None:
            units = [old for old in earlier.units if old.name.startswith(unit) or unit.startswith(old.name)]
            part = replace(earlier, units=tuple(units))
            if part.files("pairs"):
                found = store.read(part, "pairs", columns=[*ids, *VERDICT_SCHEMA.names])
                return found.rename_columns([*SIDES, *VERDICT_SCHEMA.names])
        return VERIFIED_SCHEMA.empty_table().select([*SIDES, *VERDICT_SCHEMA.names])

    return of


def order_sides(pairs: pa.Table) -> pa.Table:
    """The pairs with the lower image_id first."""
    a, b = pairs["image_id_a"], pairs["image_id_b"]
    swapped = pc.greater(a, b)
    result = pairs.set_column(0, "image_id_a", pc.if_else(swapped, b, a))
    return result.set_column(1, "image_id_b", pc.if_else(swapped, a, b))
