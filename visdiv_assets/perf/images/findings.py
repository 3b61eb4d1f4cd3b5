"""What a run has found in the generated source: candidates and verdicts by kind of image, planted copies, and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from visdiv_assets.corpus.tables import CORPUS_PARTITION, TABLES, LakeTable
from visdiv_assets.perf.images.source import ImageSet
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake

#: Where candidate pairs come from, and the table that holds their verdicts.
WITHIN, ACROSS, BENCHMARK = "within", "across", "benchmark"
_VERIFIED = {
    WITHIN: LakeTable.VERIFIED_DUPLICATES,
    ACROSS: LakeTable.VERIFIED_CROSS_SUBSET,
    BENCHMARK: LakeTable.VERIFIED_CONTAMINATION,
}
_SIDES = {BENCHMARK: ("image_id", "benchmark_image_id")}


class Candidates(NamedTuple):
    """The candidate pairs of one kind of image from one place.

    Attributes:
        place: WITHIN, ACROSS or BENCHMARK.
        image_kind: the kind of the first image.
        images: number of images of this kind in all subsets.
        pairs: number of candidate pairs.
        confirmed: number of pairs that are confirmed.
        rejected: number of pairs that are rejected.
    """

    place: str
    image_kind: str
    images: int
    pairs: int
    confirmed: int
    rejected: int


class Found(NamedTuple):
    """Planted copies of one kind of image in one place.

    Attributes:
        place: WITHIN, ACROSS or BENCHMARK.
        image_kind: kind of the images.
        planted: number of planted copies.
        candidates: number of them that are candidate pairs.
        confirmed: number of them that are confirmed.
    """

    place: str
    image_kind: str
    planted: int
    candidates: int
    confirmed: int


class Stored(NamedTuple):
    """Size of a table of the lake.

    Attributes:
        table: its name.
        bytes: of all files.
        files: number of files.
    """

    table: str
    bytes: int
    files: int


def read_candidates(lake: Lake, sets: Sequence[ImageSet], planted: pa.Table) -> tuple[list[Candidates], list[Found]]:
    """Count candidates, verdicts and planted copies by place and kind of image.

    Args:
        lake: the lake of the run.
        sets: the sets of the source.
        planted: the planted pairs, table of `source.PLANTED_SCHEMA`.
    """
    import duckdb

    kinds = {each.name: each.image_kind for each in sets}
    with duckdb.connect() as connection:
        connection.register("pairs", _pairs(lake, kinds))
        connection.register("planted", planted)
        connection.execute("CREATE TABLE verdicts AS SELECT *, least(a, b) AS low, greatest(a, b) AS high FROM pairs")
        counted = connection.execute(
            """SELECT place, image_kind, count(*), count(*) FILTER (verified), count(*) FILTER (NOT verified)
            FROM verdicts
            GROUP BY ALL ORDER BY ALL"""
        ).fetchall()
        found = connection.execute(
            """WITH compared AS (SELECT place, low, high, bool_or(verified) AS verified FROM verdicts GROUP BY ALL)
            SELECT p.place, p.image_kind, count(*), count(v.low), count(*) FILTER (v.verified)
            FROM planted p LEFT JOIN compared v ON v.place = p.place AND v.low = least(p.image_id_a, p.image_id_b)
                AND v.high = greatest(p.image_id_a, p.image_id_b)
            GROUP BY ALL ORDER BY ALL"""
        ).fetchall()
    images = dict.fromkeys(kinds.values(), 0)
    for each in sets:
        if each.kind is Kind.SUBSET:
            images[each.image_kind] += len(each.images)
    return [Candidates(place, kind, images[kind], *counts) for place, kind, *counts in counted], [
        Found(*row) for row in found
    ]


def _pairs(lake: Lake, kinds: Mapping[str, str]) -> pa.Table:
    """Return all compared pairs: place, image_kind, both image_ids as a and b, and verified."""
    kind_of = _kinds_of_images(lake, kinds)
    tables = []
    for place, table in _VERIFIED.items():
        a, b = _SIDES.get(place, ("image_id_a", "image_id_b"))
        for partition in lake.partitions(table):
            manifest = lake.require(table, partition)
            if not manifest.files("pairs"):
                continue
            pairs = lake.read(manifest, "pairs", columns=[a, b, "verified"]).rename_columns(["a", "b", "verified"])
            image_kinds = (
                [kind_of[name] for name in pairs["a"].to_pylist()]
                if partition == CORPUS_PARTITION
                else [kinds[partition]] * pairs.num_rows
            )
            pairs = pairs.append_column("image_kind", pa.array(image_kinds, pa.string()))
            tables.append(pairs.append_column("place", pa.repeat(place, pairs.num_rows).cast(pa.string())))
    return pa.concat_tables(tables)


def _kinds_of_images(lake: Lake, kinds: Mapping[str, str]) -> dict[str, str]:
    return {
        image_id: kinds[subset]
        for subset in lake.partitions(LakeTable.SUBSET_IMAGES)
        for image_id in lake.read(lake.require(LakeTable.SUBSET_IMAGES, subset), columns=["image_id"])[
            "image_id"
        ].to_pylist()
    }


def stored_bytes(lake: Lake) -> list[Stored]:
    """Return the size of each table, the largest first."""
    found = [Stored(table, *_size(lake, table)) for table in TABLES]
    return sorted((each for each in found if each.files), key=lambda each: -each.bytes)


def _size(lake: Lake, table: str) -> tuple[int, int]:
    manifests = [lake.require(table, partition) for partition in lake.partitions(table)]
    files = sum(len(unit.files) for manifest in manifests for unit in manifest.units)
    return sum(manifest.size_bytes for manifest in manifests), files
