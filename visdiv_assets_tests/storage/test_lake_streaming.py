"""Tables and arrays streamed into the files of a partition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.storage.helpers import NUMBERS, begin, numbers


class TestStreaming:
    def test_rows_are_written_as_they_come(self, lake: Lake) -> None:
        rng = np.random.default_rng(0)
        size = 1_000_000
        schema = pa.schema([("bytes", pa.binary(size))])
        held: list[int] = []

        def batches() -> Iterator[pa.RecordBatch]:
            for _ in range(60):
                held.append(pa.total_allocated_bytes() - before)
                yield pa.record_batch([pa.array([rng.bytes(size)], schema[0].type)], schema=schema)

        write = begin(lake)
        before = pa.total_allocated_bytes()
        with write.add("unit") as unit:
            assert unit.table("rows", batches(), schema) == 60
        assert max(held) < 12 * size
        (file,) = write.commit().files("rows")
        assert (file.rows, file.size_bytes > 60 * size) == (60, True)

    def test_batches_are_brought_to_the_schema(self, lake: Lake) -> None:
        batch = pa.record_batch({"number": pa.array([1, 2], pa.int32())})
        write = begin(lake)
        with write.add("unit") as unit:
            unit.table("rows", [batch, batch], NUMBERS)
        table = lake.read(write.commit())
        assert table.schema == NUMBERS
        assert table["number"].to_pylist() == [1, 2, 1, 2]

    def test_no_batches_at_all_give_an_empty_table(self, lake: Lake) -> None:
        write = begin(lake)
        with write.add("unit") as unit:
            assert unit.table("rows", [], NUMBERS) == 0
        table = lake.read(write.commit())
        assert (table.num_rows, table.schema) == (0, NUMBERS)

    def test_files_are_plain_parquet_and_npy(self, lake: Lake, tmp_path: Path) -> None:
        write = begin(lake)
        with write.add("unit") as unit:
            unit.table("rows", numbers(4, 5), NUMBERS)
            unit.array("vectors", np.arange(6.0).reshape(3, 2))
        write.commit()
        assert pq.read_table(next(tmp_path.rglob("*.rows.parquet"))).equals(numbers(4, 5))
        np.testing.assert_array_equal(np.load(next(tmp_path.rglob("*.vectors.npy"))), np.arange(6.0).reshape(3, 2))
