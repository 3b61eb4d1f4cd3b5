"""A lake with compared pairs of two subsets and a benchmark, and the source of their images, for tests of review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from visdiv_assets.contamination.positions import VERIFIED_LEAKS_SCHEMA
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.duplicates.decided_pairs import DECIDED
from visdiv_assets.duplicates.pair_verification import VERIFIED_SCHEMA
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, describe
from visdiv_assets.ingest.turns import STRINGS_SCHEMA, TURNS_SCHEMA
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import image

#: The encoded images of the rows of each subset and benchmark.
IMAGES = {
    (Kind.SUBSET, "charts"): [image(1), image(2), image(3)],
    (Kind.SUBSET, "maps"): [image(4), image(1)],
    (Kind.BENCHMARK, "bench"): [image(5), image(1)],
}
ONE, TWO, THREE, FOUR, FIVE = (image_id(image(seed)) for seed in range(1, 6))

SAME = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
#: The right half of the left image.
HALF = [0.5, 0.0, 0.5, 0.0, 1.0, 0.0]


class Images:
    """A source that has images only."""

    uri = "source"

    def __init__(self) -> None:
        self.images = {name: list(images) for name, images in IMAGES.items()}
        self.fetched = 0

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        self.fetched += len(positions)
        return [self.images[kind, name][row] for row, _ in positions]


def make_lake(folder: Path) -> Lake:
    """Return a lake with six compared pairs.

    Four of images of subsets (one undecided, two confirmed, one rejected), and two of images of subsets and of the
    benchmark, one of which is of equal bytes in both.
    """
    lake = Lake(folder)
    for (kind, name), images in IMAGES.items():
        table = LakeTable.SUBSET_IMAGES if kind is Kind.SUBSET else LakeTable.BENCHMARK_IMAGES
        write_images(lake, table, name, images)
    write_pairs(
        lake,
        "charts",
        [(ONE, TWO, True, 0.99, "recolored", "", SAME), (TWO, THREE, None, 0.6, "unconfirmed", "too small", [])],
    )
    write_pairs(
        lake,
        None,
        [
            (TWO, FOUR, True, 0.95, "cropped", "", HALF),
            (THREE, FOUR, False, 0.2, "unconfirmed", "contents differ", SAME),
        ],
    )
    write_leaks(lake, "charts", [(ONE, 1, ONE, True, "identical_pixels"), (TWO, 0, FIVE, False, "unconfirmed")])
    write_texts(lake)
    return lake


def write_images(lake: Lake, table: str, name: str, images: Sequence[bytes]) -> None:
    records = [
        (row, 0, f"{name}.parquet", row, None, *describe(image_id(data), len(data), decode_image(data)))
        for row, data in enumerate(images)
    ]
    columns = zip(zip(*records, strict=True), IMAGES_SCHEMA, strict=True)
    write = lake.write(table, name, code_version="1")
    with write.add("rows") as unit:
        arrays = [pa.array(values, field.type) for values, field in columns]
        unit.table("rows", pa.table(arrays, schema=IMAGES_SCHEMA), IMAGES_SCHEMA)
    write.commit()


def write_pairs(lake: Lake, subset: str | None, pairs: Sequence[tuple[object, ...]]) -> None:
    """Write pairs of images of a subset, or of several: the image_ids, and the verdict with its transform."""
    table = LakeTable.VERIFIED_CROSS_SUBSET if subset is None else LakeTable.VERIFIED_DUPLICATES
    names = ("image_id_a", "image_id_b", "verified", "confidence", "evidence", "reason", "transform")
    records = [dict(zip(names, pair, strict=True)) for pair in pairs]
    for record in records:
        # The transform, which maps b to a, is that of the given order.
        if str(record["image_id_a"]) > str(record["image_id_b"]):
            record["image_id_a"], record["image_id_b"] = record["image_id_b"], record["image_id_a"]
        record |= {"similarity": 0.9, "overlap": 1.0, "agreement": 1.0}
    write = lake.write(table, subset or CORPUS_PARTITION, code_version="1")
    with write.add("pairs") as unit:
        unit.table("pairs", pa.Table.from_pylist(records, schema=VERIFIED_SCHEMA), VERIFIED_SCHEMA)
    write.commit()


def decide(lake: Lake, subset: str, a: str, b: str, decision: str) -> None:
    """Keep a person's decision on a pair of images of a subset beside its verdicts."""
    earlier = lake.require(LakeTable.VERIFIED_DUPLICATES, subset)
    pairs = lake.read(earlier, "pairs")
    first, second = sorted((a, b))
    record = {"image_id_a": first, "image_id_b": second, "decision": decision, "kind": "duplicates", "sampled": True}
    write = lake.write(LakeTable.VERIFIED_DUPLICATES, subset, code_version="1")
    with write.add("pairs") as unit:
        unit.table("pairs", pairs, VERIFIED_SCHEMA)
    with write.add(DECIDED) as unit:
        unit.table(DECIDED, pa.Table.from_pylist([record], schema=DECISIONS_SCHEMA), DECISIONS_SCHEMA)
    write.commit()


def write_leaks(lake: Lake, subset: str, leaks: Sequence[tuple[str, int, str, bool, str]]) -> None:
    names = ("image_id", "benchmark_row", "benchmark_image_id", "verified", "evidence")
    fixed = {"benchmark": "bench", "benchmark_image": 0, "similarity": 0.8, "confidence": 0.9, "transform": SAME}
    records = [fixed | dict(zip(names, leak, strict=True)) for leak in leaks]
    write = lake.write(LakeTable.VERIFIED_CONTAMINATION, subset, code_version="1")
    with write.add("pairs") as unit:
        unit.table("pairs", pa.Table.from_pylist(records, schema=VERIFIED_LEAKS_SCHEMA), VERIFIED_LEAKS_SCHEMA)
    write.commit()


def write_texts(lake: Lake) -> None:
    """Write a turn of each row of `charts`, and two strings of each row of `bench`."""
    turns = [
        {"row": row, "turn": 0, "user": f"question {row}", "assistant": f"<b>answer {row}</b>"} for row in range(3)
    ]
    lengths = pa.schema([("turns", pa.int32()), ("unread", pa.int32())])
    write = lake.write(LakeTable.SUBSET_TURNS, "charts", code_version="1")
    with write.add("turns") as unit:
        unit.table("turns", pa.Table.from_pylist(turns, schema=TURNS_SCHEMA), TURNS_SCHEMA)
        unit.table("rows", pa.Table.from_pylist([{"turns": 1, "unread": 0}] * 3, schema=lengths), lengths)
    write.commit()
    write = lake.write(LakeTable.BENCHMARK_STRINGS, "bench", code_version="1")
    with write.add("rows") as unit:
        strings = [{"strings": [f"text {row}", "B"]} for row in range(2)]
        unit.table("rows", pa.Table.from_pylist(strings, schema=STRINGS_SCHEMA), STRINGS_SCHEMA)
    write.commit()
