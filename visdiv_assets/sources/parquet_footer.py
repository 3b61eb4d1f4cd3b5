"""Look for encrypted columns in the footer of a Parquet file, without a library.

pyarrow ends the process if it is asked about the chunk of an encrypted column of a file whose footer can be read, as
Parquet's modular encryption writes, or as damage to a footer may pretend. So every footer is looked at first. It is a
struct of Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), whose fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

#: The last bytes of a file: the length of the footer, and these.
MAGIC = b"PAR1"
_TAIL = 8

#: Path of field numbers to a column chunk (row groups of a file, columns of a row group), and the fields that only an
#: encrypted one has.
_CHUNK, _ENCRYPTED = (4, 1), (8, 9)

# Types of the compact protocol; of the others, a value is a number of variable length.
_BOOLEANS, _BYTE, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT, _UUID = (1, 2), 3, 7, 8, (9, 10), 11, 12, 13
_FIXED_BYTES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}

#: Structs within structs and lists within lists; Parquet's have fewer.
_MAX_DEPTH = 32


class SeekableFile(Protocol):
    """An open file."""

    def seek(self, position: int, whence: int = 0, /) -> int:
        """Go to a position."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return the next bytes."""


def has_encrypted_columns(file: SeekableFile) -> bool:
    """Return whether the chunk of a column is encrypted, or says so.

    Args:
        file: it is left at its beginning. If it is no Parquet file, or its footer ends early, what can be read counts.
    """
    end = file.seek(0, 2)
    file.seek(max(0, end - _TAIL))
    tail = file.read(_TAIL) or b""
    length = int.from_bytes(tail[:4], "little")
    footer = b""
    if tail[4:] == MAGIC and length + _TAIL <= end:
        file.seek(end - _TAIL - length)
        footer = file.read(length) or b""
    file.seek(0)
    return _Footer(footer).has_encrypted_columns()


class _Footer:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._encrypted = False

    def has_encrypted_columns(self) -> bool:
        with suppress(IndexError):  # it ends early, or is too deep
            self._read_struct((), 0)
        return self._encrypted

    def _read_struct(self, path: tuple[int, ...], depth: int) -> None:
        """Read a struct; `path` are the numbers of the fields that lead to it."""
        field = 0
        while kind := (head := self._byte()) & 15:
            field = field + (head >> 4) if head >> 4 else self._signed()
            if path == _CHUNK and field in _ENCRYPTED:
                self._encrypted = True
            if kind not in _BOOLEANS:  # the type is the value
                self._read(kind, (*path, field), depth)

    def _read(self, kind: int, path: tuple[int, ...], depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise IndexError
        if kind in _FIXED_BYTES:
            self._position += _FIXED_BYTES[kind]
        elif kind == _BINARY:
            length = self._number()
            self._position += length
        elif kind in _LISTS:
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._number()
            for _ in range(size):
                self._read_entry(head & 15, path, depth)
        elif kind == _MAP:
            if size := self._number():
                kinds = self._byte()
                for _ in range(size):
                    self._read_entry(kinds >> 4, path, depth)
                    self._read_entry(kinds & 15, path, depth)
        elif kind == _STRUCT:
            self._read_struct(path, depth + 1)
        else:
            self._number()

    def _read_entry(self, kind: int, path: tuple[int, ...], depth: int) -> None:
        self._read(_BYTE if kind in _BOOLEANS else kind, path, depth + 1)
        if self._position > len(self._data):
            raise IndexError

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
