"""Images as pages show them: from the lake, or from the source where the lake has no thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader, fetch_encoded
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.errors import NotMaterializedError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, describe
from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.imaging.images import MAX_PIXELS, encode, noise

LIMITS = DecodeLimits(MAX_PIXELS)
A, B, C = (encode(noise(90 + seed, 60, seed)) for seed in range(3))
HTML = b"<html>404"
IMAGES = (A, None, B, HTML, A, C)


class StandIn:
    """A source whose rows hold one image each; remembers what was fetched."""

    def __init__(self, images: Sequence[bytes | None] = IMAGES) -> None:
        self.images = images
        self.fetched: list[int] = []

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        self.fetched += [row for row, _ in positions]
        return [self.images[row] for row, _ in positions]


def described(data: bytes | None) -> tuple[object, ...]:
    """Return the columns of an image in the list after its position."""
    identity = None if data is None else image_id(data)
    return describe(identity, len(data or b""), decode_image(data, limits=LIMITS))


def write_images(lake: Lake, table: str = "subset_images", images: Sequence[bytes | None] = IMAGES) -> None:
    write = lake.write(table, "some", code_version="1")
    # Two units, so that rows count over units.
    for unit_rows in np.array_split(np.arange(len(images)), 2):
        records = [(row, 0, "a.parquet", row, f"{row}.png", *described(images[row])) for row in unit_rows.tolist()]
        with write.add(f"rows from {unit_rows[0]}") as unit:
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*records, strict=True), IMAGES_SCHEMA, strict=True)
            ]
            unit.table("rows", pa.table(columns, schema=IMAGES_SCHEMA), IMAGES_SCHEMA)
    write.commit()


def write_thumbnails(lake: Lake, *units: Sequence[bytes], table: str = "subset_thumbnails") -> None:
    write = lake.write(table, "some", code_version="1")
    for index, images in enumerate(units):
        with write.add(f"unit {index}") as unit:
            unit.table("ids", pa.table([pa.array([image_id(data) for data in images])], schema=IDS_SCHEMA), IDS_SCHEMA)
            unit.blobs("thumbnails", [thumbnail(data) for data in images])
    write.commit()


def thumbnail(data: bytes) -> bytes:
    image = decode_image(data).pixels
    assert image is not None
    return encode_thumbnail(image, SIDE)


def position(row: int, data: bytes | None = None) -> ImagePosition:
    found = IMAGES[row] if data is None else data
    return ImagePosition("some", row, 0, image_id(found or b""))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake(tmp_path)
    write_images(found)
    return found


def reader(lake: Lake, source: StandIn | None = None) -> ImageReader:
    def open_source() -> Source:
        if source is None:
            raise AssertionError("the source was opened")
        return source  # type: ignore[return-value]

    return ImageReader(lake, open_source, LIMITS)


def test_stored_thumbnails_are_read_without_the_source(lake: Lake) -> None:
    write_thumbnails(lake, [A, B], [C])
    wanted = [position(row) for row in (5, 0, 2, 4)]
    found = reader(lake).read(Kind.SUBSET, wanted)
    assert {at.row: image.preview.webp for at, image in found.items()} == {
        0: thumbnail(A),
        2: thumbnail(B),
        4: thumbnail(A),
        5: thumbnail(C),
    }
    assert found[position(2)].preview.about == "png, 91 x 60"
    assert (found[position(2)].place, found[position(2)].row, found[position(2)].image_id) == ("some", 2, image_id(B))
    assert (found[position(2)].file, found[position(2)].row_in_file, found[position(2)].path) == (
        "a.parquet",
        2,
        "2.png",
    )


def test_unreadable_images_tell_why_without_the_source(lake: Lake) -> None:
    write_thumbnails(lake, [A, B, C])
    (found,) = reader(lake).read(Kind.SUBSET, [position(3)]).values()
    assert found.preview.webp is None
    assert found.preview.about == "not an image (text with markup: begins with b'<html>404')"


def test_only_images_without_a_thumbnail_are_fetched(lake: Lake) -> None:
    write_thumbnails(lake, [A])
    source = StandIn()
    found = reader(lake, source).read(Kind.SUBSET, [position(row) for row in (0, 2, 3)])
    assert source.fetched == [2]
    assert [image.preview.webp for image in found.values()] == [thumbnail(A), thumbnail(B), None]


def test_without_the_table_of_thumbnails_all_are_fetched(lake: Lake) -> None:
    source = StandIn()
    found = reader(lake, source).read(Kind.SUBSET, [position(row) for row in (0, 2, 3, 5)])
    assert source.fetched == [0, 2, 5]
    assert [image.preview.webp for image in found.values()] == [thumbnail(A), thumbnail(B), None, thumbnail(C)]


def test_an_image_that_is_gone_from_the_source_tells_why(lake: Lake) -> None:
    (found,) = reader(lake, StandIn([None] * 6)).read(Kind.SUBSET, [position(2)]).values()
    assert (found.preview.webp, found.preview.about) == (None, "no bytes")


def test_an_image_of_another_listing_is_not_shown(lake: Lake) -> None:
    write_thumbnails(lake, [A, B, C])
    (found,) = reader(lake).read(Kind.SUBSET, [position(2, A)]).values()
    assert (found.preview.webp, found.preview.about) == (None, "no longer listed")


def test_benchmarks_have_tables_of_their_own(lake: Lake) -> None:
    write_images(lake, "benchmark_images", [C, A])
    write_thumbnails(lake, [C], table="benchmark_thumbnails")
    (found,) = reader(lake).read(Kind.BENCHMARK, [position(0, C)]).values()
    assert found.preview.webp == thumbnail(C)


def test_images_that_were_never_listed_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotMaterializedError):
        reader(Lake(tmp_path)).read(Kind.SUBSET, [position(0)])


def test_each_position_is_fetched_once() -> None:
    source = StandIn()
    found = fetch_encoded(source, Kind.SUBSET, [position(5), position(0), position(5)])  # type: ignore[arg-type]
    assert found == {position(0): A, position(5): C}
    assert source.fetched == [0, 5]


@pytest.mark.parametrize("units", [[], [[]]])
def test_an_empty_table_of_thumbnails_is_as_none(lake: Lake, units: list[list[bytes]]) -> None:
    write_thumbnails(lake, *units)
    (found,) = reader(lake, StandIn()).read(Kind.SUBSET, [position(2)]).values()
    assert found.preview.webp == thumbnail(B)
