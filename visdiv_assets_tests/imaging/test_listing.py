"""The table of image positions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import IMAGES_SCHEMA, image_bytes, list_images
from visdiv_assets_tests.imaging.images import MAX_PIXELS, encode, noise

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
GOOD, OTHER = encode(noise(30, 20)), encode(noise(7, 9, seed=1), "JPEG")


def table(rows: Sequence[Sequence[bytes | None] | None]) -> pa.Table:
    images = [None if row is None else [{"bytes": data, "path": None} for data in row] for row in rows]
    return pa.table({"images": pa.array(images, pa.list_(IMAGE)), "other": pa.array(range(len(rows)))})


def listed(batches: Sequence[pa.RecordBatch], first_row: int = 0, threads: int = 2) -> pa.Table:
    found = list_images(batches, first_row=first_row, threads=threads, limits=DecodeLimits(MAX_PIXELS))
    return pa.Table.from_batches(found, IMAGES_SCHEMA)


def test_a_position_is_described_in_full() -> None:
    rows: list[list[bytes | None]] = [[GOOD], [], [OTHER, None, b"", b"<html>", GOOD[:200]]]
    result = listed(table(rows).to_batches(), first_row=40).to_pylist()
    assert [(r["row"], r["image_index"], r["format"], r["width"], r["height"], r["status"]) for r in result] == [
        (40, 0, "png", 30, 20, "ok"),
        (42, 0, "jpeg", 7, 9, "ok"),
        (42, 1, None, None, None, "empty"),
        (42, 2, None, None, None, "empty"),
        (42, 3, None, None, None, "not_an_image"),
        (42, 4, "png", 30, 20, "truncated"),
    ]
    assert [r["size_bytes"] for r in result] == [len(GOOD), len(OTHER), 0, 0, 6, 200]
    names = [None if data is None else hashlib.sha256(data).hexdigest()[:32] for row in rows for data in row]
    assert [r["image_id"] for r in result] == names
    assert all((r["detail"] == "") == (r["status"] == "ok") for r in result)


def test_an_image_with_too_many_pixels_is_not_decoded() -> None:
    batches = table([[GOOD]]).to_batches()
    (batch,) = list_images(batches, first_row=0, threads=1, limits=DecodeLimits(599))
    assert batch.to_pylist()[0]["status"] == "too_large"


ROWS: list[list[bytes | None] | None] = [[GOOD], None, [], [b"a", b"b", b"c"], [None], [OTHER, OTHER], None, [b"d"]]
EXPECTED = [(row, index, data) for row, images in enumerate(ROWS) for index, data in enumerate(images or [])]


@pytest.mark.parametrize("start", range(len(ROWS) + 1))
@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_images_of_a_slice_are_those_of_its_rows(start: int, length: int) -> None:
    (batch,) = table(ROWS).to_batches()
    rows, index, encoded = image_bytes(batch.slice(start, length))
    found = list(zip(rows.tolist(), index.tolist(), encoded.to_pylist(), strict=True))
    assert found == [(r - start, i, data) for r, i, data in EXPECTED if start <= r < start + length]


def test_what_lies_behind_a_null_row_is_not_a_image() -> None:
    values = pa.array([{"bytes": data, "path": None} for data in (b"a", b"hidden", b"b")], IMAGE)
    column = pa.ListArray.from_arrays([0, 1, 2, 3], values, mask=pa.array([False, True, False]))
    rows, _, encoded = image_bytes(pa.record_batch({"images": column}))
    assert rows.tolist() == [0, 2]
    assert encoded.to_pylist() == [b"a", b"b"]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 8])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_counted_across_batches(batch_rows: int, threads: int) -> None:
    (whole,) = table(ROWS).to_batches()
    slices = [whole.slice(start, batch_rows) for start in range(0, len(ROWS), batch_rows)]
    result = listed(slices, first_row=100, threads=threads)
    assert list(zip(result["row"].to_pylist(), result["image_index"].to_pylist(), strict=True)) == [
        (100 + row, index) for row, index, _ in EXPECTED
    ]


def test_many_positions_come_in_several_batches_and_in_order() -> None:
    result = list(
        list_images(table([[None] * 50] * 50).to_batches(), first_row=0, threads=2, limits=DecodeLimits(MAX_PIXELS))
    )
    assert len(result) > 1
    rows = pa.Table.from_batches(result, IMAGES_SCHEMA)
    assert rows["row"].to_pylist() == [row for row in range(50) for _ in range(50)]


def test_no_images_give_no_rows() -> None:
    assert listed(table([[], None, []]).to_batches()).num_rows == 0
    assert listed([]).num_rows == 0


def test_progress_counts_rows_with_and_without_images() -> None:
    told: list[int] = []
    batches = table(ROWS).to_batches(max_chunksize=3)
    list(list_images(batches, first_row=0, threads=2, limits=DecodeLimits(MAX_PIXELS), progress=told.append))
    assert told == [3, 3, 2]


def test_few_batches_are_drawn_before_their_images_are_needed() -> None:
    drawn = 0

    def endless() -> Iterator[pa.RecordBatch]:
        nonlocal drawn
        while True:
            drawn += 1
            yield from table([[None] * 100]).to_batches()

    found = list_images(endless(), first_row=0, threads=2, limits=DecodeLimits(MAX_PIXELS))
    given = sum(next(found).num_rows for _ in range(3))
    found.close()
    assert drawn * 100 - given <= 200


def test_the_threads_end_with_the_iteration() -> None:
    before = threading.active_count()
    found = list_images(table([[GOOD]] * 2000).to_batches(), first_row=0, threads=3, limits=DecodeLimits(MAX_PIXELS))
    next(found)
    found.close()
    assert threading.active_count() == before


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["ok", "ok", "corrupt"])), max_size=30))
def test_first_positions_have_each_readable_image_once(found: list[tuple[int, str]]) -> None:
    images = pa.table(
        {
            "row": pa.array([number // 2 for number in range(len(found))], pa.int64()),
            "image_index": pa.array([number % 2 for number in range(len(found))], pa.int32()),
            "image_id": pa.array([f"{name:032x}" for name, _ in found], pa.string()),
            "status": pa.array([status for _, status in found], pa.string()),
        }
    )
    first: dict[str, tuple[int, int]] = {}
    for number, (name, status) in enumerate(found):
        if status == "ok":
            first.setdefault(f"{name:032x}", (number // 2, number % 2))
    result = first_positions(images)
    assert result.column_names == ["row", "image_index", "image_id"]
    assert [(r["image_id"], (r["row"], r["image_index"])) for r in result.to_pylist()] == list(first.items())


def test_first_positions_of_a_table_in_many_chunks() -> None:
    (whole,) = table([[GOOD, OTHER], [GOOD], [OTHER], [b"no image"]]).to_batches()
    images = listed([whole])
    chunks = pa.concat_tables([images.slice(number, 1) for number in range(images.num_rows)])
    assert first_positions(chunks).to_pydict() == first_positions(images).to_pydict()
    assert first_positions(images)["row"].to_pylist() == [0, 0]
