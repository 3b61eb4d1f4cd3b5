"""Encrypted columns are recognized before pyarrow, which would end the process, is asked about them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.parquet_footer import has_encrypted_columns


class _PlainKeys(pe.KmsClient):  # type: ignore[misc]
    def __init__(self, config: object) -> None:
        super().__init__()

    def wrap_key(self, key: bytes, name: str) -> bytes:
        return base64.b64encode(key)

    def unwrap_key(self, key: str, name: str) -> bytes:
        return base64.b64decode(key)


def table(rows: int = 20) -> pa.Table:
    image = {"bytes": b"\x89PNG", "path": "a.png"}
    return pa.table({"images": [[image, image], []] * (rows // 2), "text": [None, "x"] * (rows // 2)})


def write(path: Path, *, encrypted: list[str], written: pa.Table | None = None) -> None:
    properties = None
    if encrypted:
        keys = pe.EncryptionConfiguration(footer_key="f", column_keys={"k": encrypted}, plaintext_footer=True)
        properties = pe.CryptoFactory(_PlainKeys).file_encryption_properties(pe.KmsConnectionConfig(), keys)
    written = table() if written is None else written
    with pq.ParquetWriter(path, written.schema, encryption_properties=properties) as writer:
        writer.write_table(written, row_group_size=7)


def test_a_file_with_encrypted_columns_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "subsets" / "some" / "0.parquet"
    path.parent.mkdir(parents=True)
    write(path, encrypted=["text"])
    with pytest.raises(SourceError, match=r"0\.parquet is not a readable Parquet file \(some of its columns are encr"):
        open_source(tmp_path).shards(Kind.SUBSET, "some")


@pytest.mark.parametrize("column", ["text", "images.list.element.bytes"])
def test_one_encrypted_column_is_enough(tmp_path: Path, column: str) -> None:
    write(tmp_path / "file", encrypted=[column])
    with (tmp_path / "file").open("rb") as file:
        assert has_encrypted_columns(file)
        assert file.tell() == 0


@pytest.mark.parametrize("rows", [0, 2, 400])
@pytest.mark.parametrize("statistics", [True, False])
def test_other_files_have_no_encrypted_columns(rows: int, statistics: bool) -> None:
    buffer = io.BytesIO()
    pq.write_table(table(rows), buffer, row_group_size=5, write_statistics=statistics, write_page_index=True)
    assert not has_encrypted_columns(buffer)
    assert pq.read_table(buffer).equals(table(rows))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_read_to_an_end(data: st.DataObject) -> None:
    buffer = io.BytesIO()
    pq.write_table(table(), buffer)
    content = bytearray(buffer.getvalue())
    for place in data.draw(st.lists(st.integers(9, min(600, len(content) - 1)), max_size=8)):
        content[-place] = data.draw(st.integers(0, 255))
    has_encrypted_columns(io.BytesIO(content))
    assert has_encrypted_columns(io.BytesIO(data.draw(st.binary(max_size=40)))) is False


def test_a_footer_of_lists_in_lists_is_read_to_an_end() -> None:
    footer = b"\x49" + b"\x19" * 100_000
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    assert not has_encrypted_columns(io.BytesIO(content))


def test_a_huge_list_is_read_to_an_end() -> None:
    footer = b"\x49\xf3" + b"\xff" * 8 + b"\x7f"
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    assert not has_encrypted_columns(io.BytesIO(content))
