"""Read what the footer of a Parquet file says about its column chunks, without a library.

pyarrow ends the process if it is asked about a chunk that it finds inconsistent: one of an encrypted column in a file
whose footer can be read, or one that a damaged footer describes. Reading the data raises errors instead.

A footer is a struct of Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), whose fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

#: The last bytes of a file: the length of the footer, and these.
MAGIC = b"PAR1"
_TAIL = 8

#: Names of the codecs, by their number.
_CODECS = ("uncompressed", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4")

# Numbers of the fields that are used.
_ROW_GROUPS = 4  # of a file
_COLUMNS = 1  # of a row group
_METADATA, _ENCRYPTION = 3, 8  # of a column chunk
_PATH, _CODEC, _VALUES, _UNCOMPRESSED_BYTES, _STATISTICS = 3, 4, 5, 6, 12  # of the metadata of a column chunk
_NULLS = 3  # of statistics

# Types of the compact protocol; of the others, a value is a number of variable length.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = 1, 2, 3, 7, 8, 9, 10, 11, 12, 13
_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}

#: Structs within structs and lists within lists; Parquet's have fewer.
_MAX_DEPTH = 32


class SeekableFile(Protocol):
    """An open file."""

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go to a position."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return the next bytes."""


class Chunk(NamedTuple):
    """A column chunk.

    Attributes:
        column: path of the leaf, such as `images.list.element.bytes`.
        codec: name of the compression in lower case.
        values: number of values, nulls included.
        uncompressed_bytes: size of its pages before compression.
        nulls: number of nulls; 0 if the statistics do not tell.
    """

    column: str
    codec: str
    values: int
    uncompressed_bytes: int
    nulls: int


def read_chunks(file: SeekableFile) -> list[list[Chunk]]:
    """Return the column chunks of each row group.

    Raises:
        ValueError: the footer is damaged, or a column is encrypted.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - _TAIL))
    tail = file.read(_TAIL) or b""
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length + _TAIL > end:
        raise ValueError("it has no footer")
    file.seek(end - _TAIL - length)
    try:
        footer = _Reader(file.read(length) or b"").read_struct(0)
        return [[_chunk(chunk) for chunk in group[_COLUMNS]] for group in footer[_ROW_GROUPS]]
    except (IndexError, KeyError, TypeError, AttributeError):
        raise ValueError("its footer is damaged") from None


def _chunk(described: dict[int, Any]) -> Chunk:
    if _ENCRYPTION in described:
        raise ValueError("some of its columns are encrypted, which is not supported")
    metadata = described[_METADATA]
    return Chunk(
        b".".join(metadata[_PATH]).decode(errors="replace"),
        _CODECS[metadata[_CODEC]],
        int(metadata[_VALUES]),
        int(metadata[_UNCOMPRESSED_BYTES]),
        int(metadata.get(_STATISTICS, {}).get(_NULLS, 0)),
    )


class _Reader:
    """Reads values of the compact protocol. Raises IndexError where they end early, or lie too deep in others."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read_struct(self, depth: int) -> dict[int, Any]:
        """Return the values of a struct by the numbers of its fields."""
        found: dict[int, Any] = {}
        field = 0
        while kind := (head := self._byte()) & 15:
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._read(kind, depth)
        return found

    def _read(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise IndexError
        if kind == _BINARY:
            return self._take(self._number())
        if kind in _BYTES:
            return self._take(_BYTES[kind])
        if kind in (_LIST, _SET):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._number()
            return [self._entry(head & 15, depth) for _ in range(size)]
        if kind == _MAP:
            size = self._number()
            kinds = self._byte() if size else 0
            return [(self._entry(kinds >> 4, depth), self._entry(kinds & 15, depth)) for _ in range(size)]
        return self.read_struct(depth + 1) if kind == _STRUCT else self._signed()

    def _entry(self, kind: int, depth: int) -> Any:
        return self._read(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)

    def _take(self, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        if self._position > len(self._data):
            raise IndexError
        return self._data[start : self._position]

    def _byte(self) -> int:
        value = self._data[self._position]
        self._position += 1
        return value

    def _number(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _signed(self) -> int:
        value = self._number()
        return value >> 1 ^ -(value & 1)
