from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.sources import SCHEMA
from visdiv_assets_tests.sources.conftest import Corpus

MIB = 1 << 20

# In a separate process, and by VmHWM: ru_maxrss begins with the peak of the parent process. The test measures the
# growth in the second half of the file, after libraries are loaded and the allocator has its pages.
MEASURE = r"""
import re, sys
from pathlib import Path
import pyarrow as pa
from visdiv_assets.sources import Kind, open
def peak():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
source = open(sys.argv[1])
(shard,) = source.shards(Kind.SUBSET, "some")
if sys.argv[2] != "fetch":
    rows, half = 0, None
    batches = source.batches(Kind.SUBSET, "some", shard, columns=["images", "texts"])
    for batch in batches if sys.argv[2] == "batches" else source.stored(Kind.SUBSET, "some", shard).batches:
        rows += batch.num_rows
        if half is None and rows > shard.rows // 2:
            half = peak()
    assert rows == shard.rows
else:
    source.fetch(Kind.SUBSET, "some", [(shard.rows // 2, 0)])
    half = peak()
    source.fetch(Kind.SUBSET, "some", [(shard.rows - 1, 0)])
print(pa.default_memory_pool().max_memory(), peak() - half)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("way", ["batches", "fetch", "stored"])
@pytest.mark.parametrize("row_group_size", [50, 4000], ids=["many row groups", "one big row group"])
def test_reading_takes_memory_for_a_few_pages_not_for_the_file(corpus: Corpus, row_group_size: int, way: str) -> None:
    size = 40_000
    noise = np.random.default_rng(0).bytes(size * 2)
    rows = [
        {
            "images": [{"bytes": noise[row : row + size], "path": None}],
            "texts": [{"user": "u", "assistant": "a"}],
        }
        for row in range(4000)
    ]
    file = corpus.write(
        pa.Table.from_pylist(rows, SCHEMA),
        row_group_size=row_group_size,
        write_batch_size=16,
        compression="none",
        use_dictionary=False,
    )
    assert file.stat().st_size > 150 * MIB
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(corpus.root), way],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    file.unlink()
    arrow_bytes, growth = map(int, ran.stdout.split())
    assert arrow_bytes < 24 * MIB
    assert growth < 24 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("pages", [1, 8], ids=["one image a row", "several images a row"])
def test_large_rows_are_not_held_together(corpus: Corpus, pages: int) -> None:
    image = np.random.default_rng(0).bytes(1000).ljust(8 * MIB // pages, b"\0")
    row = {"images": [{"bytes": image, "path": None}] * pages, "texts": [{"user": "u", "assistant": "a"}]}
    table = pa.Table.from_pylist([row] * 64, SCHEMA)
    corpus.write(table, write_batch_size=1, data_page_size=1, compression="zstd", use_dictionary=False)
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(corpus.root), "batches"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    arrow_bytes, growth = map(int, ran.stdout.split())
    assert arrow_bytes < 64 * MIB
    assert growth < 24 * MIB
