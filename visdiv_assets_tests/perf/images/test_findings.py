"""Counts of candidates, verdicts, planted copies and bytes, from a hand-made lake."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from visdiv_assets.perf.images.findings import Candidates, Found, read_candidates, stored_bytes
from visdiv_assets.perf.images.source import PLANTED_SCHEMA, Drawn, ImageSet
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake

VERIFIED = pa.schema([("image_id_a", pa.string()), ("image_id_b", pa.string()), ("verified", pa.bool_())])
LEAKS = pa.schema([("image_id", pa.string()), ("benchmark_image_id", pa.string()), ("verified", pa.bool_())])


def write_pairs(lake: Lake, table: str, partition: str, schema: pa.Schema, *rows: tuple[str, str, bool | None]) -> None:
    write = lake.write(table, partition, code_version="1")
    with write.add("pairs") as unit:
        unit.table(
            "pairs", pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema), schema
        )
    write.commit()


def made(folder: Path) -> Lake:
    lake = Lake(folder)
    for subset, ids in (("photos", ["a1", "a2", "a3"]), ("charts", ["c1", "c2"])):
        write = lake.write("subset_images", subset, code_version="1")
        table = pa.table({"image_id": ids})
        with write.add("rows") as unit:
            unit.table("rows", table, table.schema)
        write.commit()
    write_pairs(lake, "verified_duplicates", "photos", VERIFIED, ("a1", "a2", True), ("a1", "a3", False))
    write_pairs(lake, "verified_duplicates", "charts", VERIFIED, ("c1", "c2", None))
    write_pairs(lake, "verified_cross_subset", "all", VERIFIED, ("c2", "a1", False), ("a3", "c1", True))
    write_pairs(lake, "verified_contamination", "photos", LEAKS, ("a3", "b1", True))
    return lake


SETS = [
    ImageSet(Kind.SUBSET, "photos", "photo", [Drawn("photo", seed) for seed in range(3)]),
    ImageSet(Kind.SUBSET, "charts", "chart", [Drawn("chart", seed) for seed in range(2)]),
    ImageSet(Kind.BENCHMARK, "photo_test", "photo", [Drawn("photo", 9)]),
]

PLANTED = pa.Table.from_pylist(
    [
        {"place": place, "image_kind": kind, "edit": "jpeg", "set_a": "", "set_b": "", "image_id_a": a, "image_id_b": b}
        for place, kind, a, b in (
            ("within", "photo", "a2", "a1"),
            ("within", "photo", "a1", "a3"),
            ("within", "chart", "c1", "c9"),
            ("across", "chart", "c1", "a3"),
            ("benchmark", "photo", "a3", "b1"),
            ("benchmark", "photo", "a1", "a2"),
        )
    ],
    PLANTED_SCHEMA,
)


def test_candidates_are_counted_by_place_and_kind(tmp_path: Path) -> None:
    candidates, _ = read_candidates(made(tmp_path), SETS, PLANTED)
    assert candidates == [
        Candidates("across", "chart", 2, 1, 0, 1),
        Candidates("across", "photo", 3, 1, 1, 0),
        Candidates("benchmark", "photo", 3, 1, 1, 0),
        Candidates("within", "chart", 2, 1, 0, 0),
        Candidates("within", "photo", 3, 2, 1, 1),
    ]


def test_planted_copies_are_found_where_they_were_planted(tmp_path: Path) -> None:
    _, found = read_candidates(made(tmp_path), SETS, PLANTED)
    assert found == [
        Found("across", "chart", 1, 1, 1),
        Found("benchmark", "photo", 2, 1, 1),
        Found("within", "chart", 1, 0, 0),
        Found("within", "photo", 2, 2, 1),
    ]


def test_stored_bytes_are_those_of_the_files(tmp_path: Path) -> None:
    stored = stored_bytes(made(tmp_path))
    assert {each.table: each.files for each in stored} == {
        "subset_images": 2,
        "verified_duplicates": 2,
        "verified_cross_subset": 1,
        "verified_contamination": 1,
    }
    sizes = [path.stat().st_size for path in tmp_path.rglob("*.parquet")]
    assert sum(each.bytes for each in stored) == sum(sizes)
    assert stored == sorted(stored, key=lambda each: -each.bytes)
