"""The table of image positions."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.imaging.listing import image_bytes
from visdiv_assets_tests.imaging.images import encode, noise

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
GOOD, OTHER = encode(noise(30, 20)), encode(noise(7, 9, seed=1), "JPEG")


def table(rows: Sequence[Sequence[bytes | None] | None]) -> pa.Table:
    images = [None if row is None else [{"bytes": data, "path": None} for data in row] for row in rows]
    return pa.table({"images": pa.array(images, pa.list_(IMAGE)), "other": pa.array(range(len(rows)))})


ROWS: list[list[bytes | None] | None] = [[GOOD], None, [], [b"a", b"b", b"c"], [None], [OTHER, OTHER], None, [b"d"]]
EXPECTED = [(row, index, data) for row, images in enumerate(ROWS) for index, data in enumerate(images or [])]


@pytest.mark.parametrize("start", range(len(ROWS) + 1))
@pytest.mark.parametrize("length", [0, 1, 3, 8])
def test_images_of_a_slice_are_those_of_its_rows(start: int, length: int) -> None:
    (batch,) = table(ROWS).to_batches()
    rows, index, encoded, _ = image_bytes(batch.slice(start, length))
    found = list(zip(rows.tolist(), index.tolist(), encoded.to_pylist(), strict=True))
    assert found == [(r - start, i, data) for r, i, data in EXPECTED if start <= r < start + length]


def test_what_lies_behind_a_null_row_is_not_a_image() -> None:
    values = pa.array([{"bytes": data, "path": None} for data in (b"a", b"hidden", b"b")], IMAGE)
    column = pa.ListArray.from_arrays([0, 1, 2, 3], values, mask=pa.array([False, True, False]))
    rows, _, encoded, _ = image_bytes(pa.record_batch({"images": column}))
    assert rows.tolist() == [0, 2]
    assert encoded.to_pylist() == [b"a", b"b"]


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
    images = pa.table(
        {
            "row": pa.array([0, 0, 1, 2, 3], pa.int64()),
            "image_index": pa.array([0, 1, 0, 0, 0], pa.int32()),
            "image_id": ["good", "other", "good", "other", "none"],
            "status": ["ok", "ok", "ok", "ok", "not_an_image"],
        }
    )
    chunks = pa.concat_tables([images.slice(number, 1) for number in range(images.num_rows)])
    assert first_positions(chunks).to_pydict() == first_positions(images).to_pydict()
    assert first_positions(images)["row"].to_pylist() == [0, 0]
