"""Spools: the same content in memory, in a temporary file, and after pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.errors import StorageError
from visdiv_assets.ingest import spool
from visdiv_assets.ingest.spool import ArraySpool, BlobSpool, TableSpool


@pytest.fixture(params=[4, 1 << 20], ids=["on disk", "in memory"], autouse=True)
def _memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", request.param)


@pytest.mark.parametrize("through_pickle", [False, True])
def test_blobs_are_read_at_random_and_can_be_added_later(through_pickle: bool) -> None:
    items = [b"one", b"", b"three" * 100]
    kept = BlobSpool()
    for item in items:
        kept.append(item)
    if through_pickle:
        kept = pickle.loads(pickle.dumps(kept))
    assert [kept[index] for index in (2, 0, 1)] == [items[index] for index in (2, 0, 1)]
    kept.append(b"four")
    assert (len(kept), kept[3], kept[0]) == (4, b"four", b"one")


@pytest.mark.parametrize("through_pickle", [False, True])
def test_rows_of_a_matrix_are_kept(through_pickle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_PIECE", 12)
    rows = np.arange(20, dtype=np.float16).reshape(10, 2)
    kept = ArraySpool(np.float16, 2)
    for start in (0, 3, 4):
        kept.append(rows[start : {0: 3, 3: 4, 4: 10}[start]])
    if through_pickle:
        kept = pickle.loads(pickle.dumps(kept))
    assert len(kept) == 10
    np.testing.assert_array_equal(kept[:], rows)
    np.testing.assert_array_equal(kept[2:5], rows[2:5])
    assert kept[8:8].shape == (0, 2)
    into = np.zeros((4, 2), np.float16)
    kept.fill(into, np.array([-1, 2, -1, -1, 0, -1, -1, -1, -1, 3]))
    np.testing.assert_array_equal(into, [rows[4], [0, 0], rows[1], rows[9]])


def test_ids_are_kept_as_a_column() -> None:
    kept = ArraySpool("S32")
    kept.append(np.array(["ab" * 16, "cd" * 16], "S32"))
    assert kept[:].tolist() == [b"ab" * 16, b"cd" * 16]


@pytest.mark.parametrize("through_pickle", [False, True])
def test_batches_are_kept_in_order_and_joined(through_pickle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BATCH_ROWS", 3)
    schema = pa.schema([("text", pa.string())])
    batches = [
        pa.record_batch([pa.array(texts, pa.string())], schema) for texts in (["a"], [], ["b" * 50, None], ["c"])
    ]
    kept = TableSpool(schema)
    for batch in batches:
        kept.append(batch)
    if through_pickle:
        kept = pickle.loads(pickle.dumps(kept))
    assert kept.rows == 4
    assert list(kept.batches()) == [pa.concat_batches(batches[:3]), batches[3]]


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = BlobSpool()

    def refuse(data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept._bytes._file, "write", refuse)
    with pytest.raises(StorageError, match="No space left on device: free some space there, or set TMPDIR"):
        kept.append(b"12345")
