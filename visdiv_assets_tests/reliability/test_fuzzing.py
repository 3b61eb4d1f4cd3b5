"""Mutated images and Parquet files give a status or a one-line error, never another exception."""

from __future__ import annotations

import io
import time
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.decode import ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.ingest import Wanted, ingest_shard
from visdiv_assets.sources import COLUMNS, SCHEMA, Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.conftest import image
from visdiv_assets_tests.imaging.images import encoded_noise

MAX_PIXELS = 1_000_000

#: Seconds of computing that one mutated image or file may take.
SECONDS = 10.0

#: Places are shares of a file's length, so that the same mutations fit every file.
PLACES = st.floats(0, 1, exclude_max=True)
NUMBERS = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
#: Mutations that leave everything else where it was, so that what comes after them is still found.
IN_PLACE = st.one_of(
    st.tuples(st.just("set"), PLACES, st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("set"), PLACES, NUMBERS.map(lambda number: number.to_bytes(4, "big"))),
    st.tuples(st.just("set"), PLACES, NUMBERS.map(lambda number: number.to_bytes(4, "little"))),
)
ANY = st.one_of(
    IN_PLACE,
    st.tuples(st.just("insert"), PLACES, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("remove"), PLACES, st.integers(1, 300)),
    st.tuples(st.just("repeat"), PLACES, st.integers(1, 300)),
    st.tuples(st.just("cut"), PLACES, st.none()),
)
MUTATIONS = st.one_of(st.lists(IN_PLACE, min_size=1, max_size=5), st.lists(ANY, min_size=1, max_size=5))
#: Where the mutations lie: anywhere, or in the first or last bytes, which hold headers and footers.
REGIONS = st.sampled_from(["anywhere", "beginning", "end"])

Mutations = list[tuple[str, float, Any]]


def mutated(data: bytes, mutations: Mutations, region: str) -> bytes:
    content = bytearray(data)
    for kind, place, value in mutations:
        length = len(content) if region == "anywhere" else min(400, len(content))
        start = int(place * length) + (len(content) - length if region == "end" else 0)
        if kind == "set":
            content[start : start + len(value)] = value
        elif kind == "insert":
            content[start:start] = value
        elif kind == "remove":
            del content[start : start + value]
        elif kind == "repeat":
            content[start:start] = content[start : start + value]
        elif len(content) > 20:
            del content[max(20, start) :]
    return bytes(content)


@cache
def images() -> dict[str, bytes]:
    return encoded_noise()


def decoded_to_a_status(data: bytes) -> None:
    begin = time.process_time()
    result = decode_image(data, limits=DecodeLimits(MAX_PIXELS))
    assert time.process_time() - begin < SECONDS
    assert (result.pixels is not None) == (result.status is ImageStatus.OK)
    assert len(result.detail.splitlines()) <= 1
    if result.pixels is not None:
        assert result.pixels.mode == "RGB"
        assert result.pixels.width * result.pixels.height <= MAX_PIXELS


def fuzz(examples: int, *, same: bool = False) -> settings:
    """So many examples, the same ones in every run or others each time; one that fails is printed with its key."""
    return settings(
        max_examples=examples,
        derandomize=same,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def check_images(name: str, mutations: Mutations, region: str) -> None:
    decoded_to_a_status(mutated(images()[name], mutations, region))


@fuzz(250, same=True)
@given(st.sampled_from(sorted(images())), MUTATIONS, REGIONS)
def test_mutated_images_have_a_status(name: str, mutations: Mutations, region: str) -> None:
    check_images(name, mutations, region)


@pytest.mark.nightly
@fuzz(15_000)
@given(st.sampled_from(sorted(images())), MUTATIONS, REGIONS)
def test_many_mutated_images_have_a_status(name: str, mutations: Mutations, region: str) -> None:
    check_images(name, mutations, region)


@pytest.mark.nightly
@fuzz(5_000)
@given(st.binary(max_size=2000), st.sampled_from([b"", *sorted({data[:30] for data in images().values()})]))
def test_random_bytes_have_a_status(data: bytes, start: bytes) -> None:
    decoded_to_a_status(start + data)


@cache
def shards() -> tuple[bytes, ...]:
    """Forms of the same rows: compressed or plain, one row group or several, with dictionaries and without."""
    rows = [
        {
            "images": [{"bytes": image(number + index), "path": None} for index in range(number % 3)],
            "texts": [{"user": f"question {number}", "assistant": "answer"}] * (number % 4),
            "source": f"origin {number % 2}",
            "relevance_ratings": [number % 5 + 1, None],
            "image_correspondence_ratings": [],
            "visual_dependency_ratings": None,
            "formatting_ratings": [3],
        }
        for number in range(24)
    ]
    forms: list[dict[str, Any]] = [
        {"compression": "none", "use_dictionary": False},
        {"compression": "snappy", "row_group_size": 7},
        {"compression": "zstd", "write_page_index": True},
        {"compression": "gzip", "data_page_version": "2.0", "write_page_checksum": True},
    ]
    written = []
    for form in forms:
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), stream, **form)
        written.append(stream.getvalue())
    return tuple(written)


def check_shard(folder: Path, form: int, mutations: Mutations, region: str) -> None:
    """Read a mutated file in every way there is: all rows of it or one line."""
    file = folder / "subsets" / "some" / "train-00000.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(mutated(shards()[form], mutations, region))
    source = open_source(str(folder))
    begin = time.process_time()
    refusals = []
    for read in (_all_columns, _ingested, _stored, _fetched):
        try:
            (shard,) = source.shards(Kind.SUBSET, "some")
            assert read(source, shard) == shard.rows
        except VisdivError as error:
            refusals.append(str(error))
    assert all(str(folder) in refusal and len(refusal.splitlines()) == 1 for refusal in refusals), refusals
    assert time.process_time() - begin < SECONDS


def _all_columns(source: Any, shard: Any) -> int:
    rows = 0
    for batch in source.batches(Kind.SUBSET, "some", shard, columns=COLUMNS, batch_rows=9):
        batch.validate(full=True)
        rows += batch.num_rows
    return rows


def _ingested(source: Any, shard: Any) -> int:
    made = ingest_shard(
        lambda columns: source.batches(Kind.SUBSET, "some", shard, columns=columns),
        Wanted(images=True, turns=True),
        first_row=0,
        threads=1,
        limits=DecodeLimits(MAX_PIXELS),
    )
    assert made.images is not None
    assert made.turn_counts is not None
    positions = pa.Table.from_batches(made.images.batches(), IMAGES_SCHEMA)
    assert all(0 <= row < shard.rows for row in positions["row"].to_pylist())
    return made.turn_counts.rows


def _stored(source: Any, shard: Any) -> int:
    return sum(batch.num_rows for batch in source.stored(Kind.SUBSET, "some", shard).batches)


def _fetched(source: Any, shard: Any) -> int:
    source.fetch(Kind.SUBSET, "some", [(row, 0) for row in (2, shard.rows - 1)])
    return int(shard.rows)


FORMS = st.integers(0, 3)


@fuzz(60, same=True)
@given(form=FORMS, mutations=MUTATIONS, region=REGIONS)
def test_mutated_files_are_read_whole_or_named(tmp_path: Path, form: int, mutations: Mutations, region: str) -> None:
    check_shard(tmp_path, form, mutations, region)


@pytest.mark.nightly
@fuzz(10_000)
@given(form=FORMS, mutations=MUTATIONS, region=REGIONS)
def test_many_mutated_files_are_read_whole_or_named(
    tmp_path: Path, form: int, mutations: Mutations, region: str
) -> None:
    check_shard(tmp_path, form, mutations, region)
