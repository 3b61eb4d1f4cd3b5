"""Results that are kept in memory while they are small, and in temporary files once they are not.

All can be pickled, with their content, and read in order.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.error_messages import reason_of

#: Bytes of one spool that are kept in memory.
MEMORY_BYTES = 4 << 20

#: Rows and bytes of a batch of a table, at which it is not joined with further ones.
BATCH_ROWS = 65_536
BATCH_BYTES = 4 << 20

_PIECE = 1 << 20


class ByteSpool:
    """A file that can be appended to and read at random."""

    def __init__(self) -> None:
        """Begin empty."""
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  closed with this object
        self.size = 0

    def append(self, data: bytes | memoryview) -> int:
        """Append bytes, and return the offset at which they begin.

        Raises:
            StorageError: the disk of the temporary files is full.
        """
        start = self.size
        try:
            self._file.seek(start)
            self._file.write(data)
        except OSError as error:
            raise StorageError(
                f"cannot write a temporary file to {tempfile.gettempdir()}: {reason_of(error).text}: free some space "
                "there, or set TMPDIR to another folder"
            ) from error
        self.size += len(data)
        return start

    def read(self, start: int, size: int) -> bytes:
        """Return some bytes."""
        self._file.seek(start)
        return self._file.read(size)

    def __getstate__(self) -> dict[str, Any]:
        return {"content": self.read(0, self.size)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ByteSpool.__init__(self)
        self.append(state["content"])


class BlobSpool:
    """A sequence of bytes objects."""

    def __init__(self) -> None:
        """Begin empty."""
        self._bytes = ByteSpool()
        self._ends = array("q")

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, item: bytes) -> None:
        """Append an item."""
        self._bytes.append(item)
        self._ends.append(self._bytes.size)

    def __getitem__(self, index: int) -> bytes:
        start = self._ends[index - 1] if index else 0
        return self._bytes.read(start, self._ends[index] - start)


class ArraySpool:
    """Rows of a matrix."""

    def __init__(self, dtype: npt.DTypeLike, *shape: int) -> None:
        """Begin without rows.

        Args:
            dtype: of the elements.
            shape: of a row; empty for numbers.
        """
        self._bytes = ByteSpool()
        self._dtype, self._shape = np.dtype(dtype), shape
        self._row_bytes = self._dtype.itemsize * int(np.prod(shape, dtype=np.int64))

    def __len__(self) -> int:
        return self._bytes.size // self._row_bytes

    def append(self, rows: np.ndarray) -> None:
        """Append rows [n, *shape] of the dtype."""
        self._bytes.append(np.ascontiguousarray(rows, self._dtype).tobytes())

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Return a copy of some rows; the step is 1."""
        start, stop, _ = rows.indices(len(self))
        content = self._bytes.read(start * self._row_bytes, max(0, stop - start) * self._row_bytes)
        return np.frombuffer(content, self._dtype).reshape(-1, *self._shape)

    def fill(self, into: np.ndarray, rows: np.ndarray) -> None:
        """Copy row i of the spool to `into[rows[i]]`, piece by piece; negative rows are left out."""
        step = max(1, _PIECE // self._row_bytes)
        for start in range(0, len(self), step):
            target = rows[start : start + step]
            into[target[target >= 0]] = self[start : start + step][target >= 0]


class TableSpool:
    """Rows of one schema; small batches are joined, since each becomes a row group of a Parquet file."""

    def __init__(self, schema: pa.Schema) -> None:
        """Begin without rows."""
        self.schema = schema
        self.rows = 0
        self._batches = BlobSpool()
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def append(self, batch: pa.RecordBatch) -> None:
        """Append a batch of the schema."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        self.rows += batch.num_rows
        if self._waiting_rows >= BATCH_ROWS or self._waiting_bytes >= BATCH_BYTES:
            self._join()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        self._join()
        for index in range(len(self._batches)):
            yield pa.ipc.read_record_batch(pa.py_buffer(self._batches[index]), self.schema)

    def _join(self) -> None:
        if self._waiting:
            self._batches.append(pa.concat_batches(self._waiting).serialize().to_pybytes())
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
