"""What a footer says about column chunks, against pyarrow, and for files about which pyarrow must not be asked."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.parquet_files import NamedFile, OpenFile, leaves_with_paths, name_errors, open_file
from visdiv_assets.sources.parquet_footer import Chunk, read_chunks


class _PlainKeys(pe.KmsClient):  # type: ignore[misc]
    def __init__(self, config: object) -> None:
        super().__init__()

    def wrap_key(self, key: bytes, name: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, key: str, name: str) -> bytes:
        return base64.b64decode(key)


def table(rows: int = 20) -> pa.Table:
    image = {"bytes": b"\x89PNG", "path": "a.png"}
    columns: dict[str, list[Any]] = {
        "images": [[image, image], []],
        "text": [None, "x"],
        "score": [1.5, None],
        "number": [1, 2],
    }
    return pa.table({name: values * (rows // 2) for name, values in columns.items()})


def content(**options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table(), buffer, row_group_size=7, **options)
    return buffer.getvalue()


def told_by_pyarrow(data: bytes) -> list[list[Chunk]]:
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    return [
        [
            Chunk(
                chunk.path_in_schema,
                chunk.compression.lower(),
                chunk.num_values,
                chunk.total_uncompressed_size,
                chunk.statistics.null_count if chunk.statistics else 0,
            )
            for chunk in map(group.column, range(group.num_columns))
        ]
        for group in groups
    ]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("statistics", [True, False])
def test_chunks_are_those_of_pyarrow(codec: str, statistics: bool) -> None:
    data = content(compression=codec, write_statistics=statistics, write_page_index=True, write_page_checksum=True)
    assert read_chunks(io.BytesIO(data)) == told_by_pyarrow(data)


@pytest.mark.parametrize("rows", [0, 2, 400])
def test_a_file_may_have_no_group_or_many(rows: int) -> None:
    buffer = io.BytesIO()
    pq.write_table(table(rows), buffer, row_group_size=2)
    assert read_chunks(buffer) == told_by_pyarrow(buffer.getvalue())


@pytest.mark.parametrize("encrypted", ["text", "images.list.element.bytes"])
def test_a_file_with_encrypted_columns_is_refused_with_one_line(tmp_path: Path, encrypted: str) -> None:
    path = tmp_path / "subsets" / "some" / "0.parquet"
    path.parent.mkdir(parents=True)
    keys = pe.EncryptionConfiguration(footer_key="f", column_keys={"k": [encrypted]}, plaintext_footer=True)
    properties = pe.CryptoFactory(_PlainKeys).file_encryption_properties(pe.KmsConnectionConfig(), keys)
    with pq.ParquetWriter(path, table().schema, encryption_properties=properties) as writer:
        writer.write_table(table())
    with pytest.raises(SourceError, match=r"0\.parquet is not a readable Parquet file \(.*encrypted"):
        open_source(tmp_path).shards(Kind.SUBSET, "some")


def ask(data: bytes) -> str:
    """Ask all that is asked about chunks, read the rows, and return the error if there is one."""
    file = NamedFile("a file", io.BufferedReader(io.BytesIO(data)))
    try:
        with name_errors(file), open_file(file) as parquet:
            leaves_with_paths(parquet)
            list(parquet.iter_batches(8, use_threads=False))
    except SourceError as error:
        return str(error)
    return ""


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(9, 1200), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_footer_gives_chunks_or_one_line(changes: list[tuple[int, int]]) -> None:
    data = bytearray(content())
    for place, value in changes:
        data[-min(place, len(data) - 1)] = value
    # pyarrow would end the process if it were asked about the chunks of some of these.
    assert re.fullmatch(r"(a file is not a readable Parquet file \(.+\): it may be damaged.*)?", ask(bytes(data)))


@pytest.mark.parametrize("footer", [b"\x49" + b"\x19" * 100_000, b"\x49\xf3" + b"\xff" * 8 + b"\x7f", b"", b"\x00"])
def test_a_strange_footer_is_read_to_an_end(footer: bytes) -> None:
    data = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ValueError, match="its footer is damaged"):
        read_chunks(io.BytesIO(data))


def test_the_footer_is_read_only_when_asked_about() -> None:
    parquet = OpenFile(io.BytesIO(content()))
    assert "chunks" not in vars(parquet)
    assert parquet.chunks is parquet.chunks
