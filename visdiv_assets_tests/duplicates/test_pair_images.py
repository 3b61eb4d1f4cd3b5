"""What verification reads of images: what is stored, and otherwise what the originals show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.duplicates.pair_images import PairImages
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.local_features import extract_features
from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest


@cache
def image(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).resize((160, 120)).save(stream, "PNG")
    return stream.getvalue()


#: Images of a subset and of a benchmark, with one that cannot be decoded.
SUBSET = [image(0), image(1), image(2), b"damaged"]
BENCHMARK = [image(3), image(1)]


class StandIn:
    """A source that remembers which images were fetched."""

    def __init__(self) -> None:
        self.fetched: list[tuple[Kind, int]] = []

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        self.fetched += [(kind, row) for row, _ in positions]
        of_kind = SUBSET if kind is Kind.SUBSET else BENCHMARK
        return [of_kind[row] for row, _ in positions]


def views(data: bytes) -> tuple[bytes, bytes]:
    pixels = Image.open(io.BytesIO(data)).convert("RGB")
    return extract_features(pixels), encode_thumbnail(pixels, SIDE)


def list_images(lake: Lake, table: str, name: str, images: Sequence[bytes]) -> Manifest:
    write = lake.write(table, name, code_version="1")
    with write.add("shard") as unit:
        count = len(images)
        listed = pa.table(
            {
                "row": pa.array(range(count), pa.int64()),
                "image_index": pa.array([0] * count, pa.int32()),
                "image_id": [image_id(data) for data in images],
                "size_bytes": pa.array([len(data) for data in images], pa.int64()),
                # The list may say that an image is readable that has since been replaced.
                "status": ["ok"] * count,
            }
        )
        unit.table("rows", listed, listed.schema)
    return write.commit()


def store(lake: Lake, table: str, role: str, images: Sequence[bytes]) -> None:
    write = lake.write(table, "some", code_version="1")
    with write.add("shard") as unit:
        ids = pa.table({"image_id": [image_id(data) for data in images]})
        unit.table("ids", ids, ids.schema)
        unit.blobs(role, [views(data)[role == "thumbnails"] for data in images])
    write.commit()


@pytest.fixture
def source() -> StandIn:
    return StandIn()


@pytest.fixture
def images(tmp_path: Path, source: StandIn) -> PairImages:
    lake = Lake(tmp_path)
    sets = [
        (Kind.SUBSET, list_images(lake, LakeTable.SUBSET_IMAGES, "some", SUBSET)),
        (Kind.BENCHMARK, list_images(lake, LakeTable.BENCHMARK_IMAGES, "bench", BENCHMARK)),
    ]
    store(lake, LakeTable.SUBSET_FEATURES, "features", [image(1), image(0)])
    store(lake, LakeTable.SUBSET_THUMBNAILS, "thumbnails", [image(0), image(1)])
    return PairImages(lake, cast(Source, source), sets, DecodeLimits())


def test_stored_views_are_read_without_the_source(images: PairImages, source: StandIn) -> None:
    assert images.stored([image_id(image(0)), image_id(image(1))]) == [views(image(0)), views(image(1))]
    assert source.fetched == []


def test_what_is_not_stored_is_made_from_the_original(images: PairImages, source: StandIn) -> None:
    wanted = [image(3), image(0), image(2)]
    assert images.stored([image_id(data) for data in wanted]) == [views(data) for data in wanted]
    assert sorted(source.fetched) == [(Kind.BENCHMARK, 0), (Kind.SUBSET, 2)]


def test_unreadable_and_unlisted_images_have_no_views(images: PairImages) -> None:
    assert images.stored([image_id(b"damaged"), "0" * 32]) == [(None, None)] * 2


def test_backgrounds_are_those_of_the_sets_of_a_pair(images: PairImages) -> None:
    in_subset, in_both, in_benchmark = (image_id(image(seed)) for seed in (0, 1, 3))
    (only,) = images.backgrounds(in_subset, in_both)
    assert sorted(only.names) == sorted(image_id(data) for data in SUBSET[:3])
    first, second = images.backgrounds(in_subset, in_benchmark)
    assert first.names == only.names
    assert sorted(second.names) == sorted(image_id(data) for data in BENCHMARK)
    assert images.backgrounds(in_subset, "0" * 32) == [first]
