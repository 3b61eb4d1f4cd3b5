"""Images fetched by image_id, with few requests to the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from visdiv_assets.corpus import image_fetch as module
from visdiv_assets.corpus.image_fetch import ImageFetcher
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.curation.lakes import image_id

Position = tuple[Kind, str, int, int]


class Asked:
    """A source whose images are their positions, as text; it remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[Position]] = []

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        self.calls.append([(kind, name, *position) for position in positions])
        return [None if row == 99 else encoded((kind, name, row, index)) for row, index in positions]


def encoded(position: Position) -> bytes:
    kind, *rest = position
    return " ".join(map(str, [kind.value, *rest])).encode()


#: Of a subset and a benchmark: row, image_index, name of the image, status.
SUBSET = [(0, 0, "a", "ok"), (0, 1, "b", "ok"), (1, 0, "a", "ok"), (2, 0, "", "missing"), (3, 0, "c", "ok")]
BENCHMARK = [(0, 0, "b", "ok"), (1, 0, "d", "ok"), (99, 0, "e", "ok")]
OF: dict[str, Position] = {
    "a": (Kind.SUBSET, "some", 0, 0),
    "b": (Kind.SUBSET, "some", 0, 1),
    "c": (Kind.SUBSET, "some", 3, 0),
    "d": (Kind.BENCHMARK, "bench", 1, 0),
}


@pytest.fixture
def source() -> Asked:
    return Asked()


@pytest.fixture
def fetcher(tmp_path: Path, source: Asked) -> ImageFetcher:
    lake = Lake(tmp_path)
    sets = []
    for kind, table, name, listed in (
        (Kind.SUBSET, LakeTable.SUBSET_IMAGES, "some", SUBSET),
        (Kind.BENCHMARK, LakeTable.BENCHMARK_IMAGES, "bench", BENCHMARK),
    ):
        write = lake.write(table, name, code_version="1")
        with write.add("shard") as unit:
            rows, indices, names, statuses = zip(*listed, strict=True)
            images = pa.table(
                {
                    "row": pa.array(rows, pa.int64()),
                    "image_index": pa.array(indices, pa.int32()),
                    "image_id": [image_id(name) if name else None for name in names],
                    "size_bytes": pa.array([10] * len(rows), pa.int64()),
                    "status": statuses,
                }
            )
            unit.table("rows", images, images.schema)
        sets.append((kind, write.commit()))
    return ImageFetcher(lake, cast(Source, source), sets)


def test_images_are_fetched_from_their_first_position(fetcher: ImageFetcher, source: Asked) -> None:
    found = fetcher.fetch([image_id(name) for name in "dabac"])
    assert found == [encoded(OF[name]) for name in "dabac"]
    assert len(source.calls) == 2


def test_an_image_that_is_gone_or_not_listed_is_none(fetcher: ImageFetcher) -> None:
    assert fetcher.fetch([image_id("e"), image_id("unknown"), image_id("a")]) == [None, None, encoded(OF["a"])]


def test_images_in_order_are_read_ahead(fetcher: ImageFetcher, source: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [image_id(name) for name in ["c", "a", "unknown", "b", "d"]]
    fetch = fetcher.in_order(order)
    assert fetch(order[:1]) == [encoded(OF["c"])]
    assert [len(call) for call in source.calls] == [3, 1]
    assert fetch([order[3], order[1], order[3], order[2]]) == [
        encoded(OF["b"]),
        encoded(OF["a"]),
        encoded(OF["b"]),
        None,
    ]
    assert fetch(order[4:]) == [encoded(OF["d"])]
    assert len(source.calls) == 2
    # What was returned is forgotten, and fetched again.
    assert fetch(order[:1]) == [encoded(OF["c"])]
    assert len(source.calls) == 3


def test_reading_ahead_is_limited_in_bytes(
    fetcher: ImageFetcher, source: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES_AHEAD", 25)
    order = [image_id(name) for name in "abcd"]
    fetch = fetcher.in_order(order)
    assert fetch(order[:1]) == [encoded(OF["a"])]
    assert [position for call in source.calls for position in call] == [OF["a"], OF["b"]]
    # More than the limit at once is fetched all the same.
    assert fetch(order[1:]) == [encoded(OF[name]) for name in "bcd"]
    assert [position for call in source.calls for position in call] == [OF[name] for name in "abcd"]
