from __future__ import annotations

import contextlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import Kind
from visdiv_assets_tests.sources.conftest import Corpus, plain_rows


def spoil(file: Path, group: int, column: str) -> None:
    """Overwrite the pages of one leaf column in one row group."""
    metadata = pq.read_metadata(file).row_group(group)
    content = bytearray(file.read_bytes())
    for number in range(metadata.num_columns):
        chunk = metadata.column(number)
        if chunk.path_in_schema == column:
            start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
            content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    assert bytes(content) != file.read_bytes()
    file.write_bytes(content)


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_a_file_cut_off_is_named_with_what_to_do(corpus: Corpus, keep: int) -> None:
    file = corpus.write(plain_rows(50))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(VisdivError, match=rf"{file.name} is not a readable Parquet file .*download or write it again"):
        corpus.open().shards(Kind.SUBSET, "some")


def test_a_file_that_never_was_parquet_is_named(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(1))
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(VisdivError, match="is not a readable Parquet file") as caught:
        corpus.open().shards(Kind.SUBSET, "some")
    assert "\n" not in str(caught.value)


def test_a_damaged_page_in_the_middle_names_the_file(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(60), row_group_size=20)
    spoil(file, 1, "images.list.element.bytes")
    batches = corpus.batches(columns=["images"], batch_rows=5)
    assert next(batches).to_pylist() == [{"images": row["images"]} for row in plain_rows(5)]
    with pytest.raises(VisdivError, match=rf"{file.name} is not a readable Parquet file"):
        list(batches)


def test_columns_that_were_not_asked_for_are_not_read(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(60))
    spoil(file, 0, "texts.list.element.user")
    assert len(corpus.read(columns=["images", "source"])) == 60


def test_fetch_reads_only_the_row_groups_and_the_column_it_needs(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(60), row_group_size=20)
    for group in (0, 2):
        spoil(file, group, "images.list.element.bytes")
    spoil(file, 1, "texts.list.element.user")
    source = corpus.open()
    assert source.fetch(Kind.SUBSET, "some", [(38, 0), (20, 1)]) == [b"image 38.0", b"image 20.1"]
    with pytest.raises(VisdivError, match=rf"{file.name} is not a readable Parquet file"):
        source.fetch(Kind.SUBSET, "some", [(38, 0), (41, 0)])


def test_a_flipped_byte_is_noticed_by_page_checksums(corpus: Corpus) -> None:
    rows = [{"images": [{"bytes": b"\x55" * 1000, "path": None}], "texts": []}]
    file = corpus.write(rows, write_page_checksum=True, write_statistics=False, compression="none")
    content = bytearray(file.read_bytes())
    content[content.index(b"\x55" * 100) + 50] ^= 1
    file.write_bytes(content)
    with pytest.raises(VisdivError, match="is not a readable Parquet file"):
        corpus.read()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_anywhere_raise_no_other_error(corpus: Corpus, flips: list[tuple[float, int]]) -> None:
    file = corpus.write(plain_rows(40), row_group_size=15)
    content = bytearray(file.read_bytes())
    for place, bit in flips:
        content[int(place * len(content))] ^= 1 << bit
    file.write_bytes(content)
    with contextlib.suppress(VisdivError):
        assert len(corpus.read(batch_rows=9)) == 40
