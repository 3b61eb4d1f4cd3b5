"""Peak memory of a subset's run, as it is and made 20 times as long.

    python -m visdiv_assets_tests.benchmarks.embedding_memory

Each length is run in a process of its own, through Dagster. The longer subset holds different pictures: each copy has
its number appended to its file, which decoders ignore but image_id does not.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.sources.schema import SCHEMA

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SUBSET = "clipart_people"


def write_long_subset(folder: Path, times: int) -> int:
    """Write the sample's subset so many times over into one file; returns the number of rows."""
    (folder / "subsets" / SUBSET).mkdir(parents=True)
    rows = 0
    with pq.ParquetWriter(folder / "subsets" / SUBSET / "train-00000-of-00001.parquet", SCHEMA) as writer:
        for number in range(times):
            for file in sorted((SAMPLE / "subsets" / SUBSET).glob("*.parquet")):
                table = pq.read_table(file).select(SCHEMA.names)
                images = [
                    [{"bytes": image["bytes"] + number.to_bytes(4), "path": image["path"]} for image in row]
                    for row in table["images"].to_pylist()
                ]
                table = table.set_column(0, "images", pa.array(images, SCHEMA.field("images").type))
                writer.write_table(table.cast(SCHEMA), row_group_size=100)
                rows += table.num_rows
    return rows


def main() -> None:
    print(f"{'rows':>8} {'seconds':>8} {'peak MB':>8}")
    peak = 0
    for times in (1, 20):
        with tempfile.TemporaryDirectory() as folder:
            rows = write_long_subset(Path(folder), times)
            own = {"VISDIV_SOURCE": folder, "VISDIV_DATA": f"{folder}/data", "VISDIV_CLIP_MODEL": ""}
            environment = {**os.environ, **own}
            begin = time.monotonic()
            command = [sys.executable, "-m", "visdiv_assets.cli", "run", SUBSET]
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds = time.monotonic() - begin
        # The largest of all children so far: the longer subset runs last.
        peak = max(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
        print(f"{rows:>8} {seconds:>8.1f} {peak:>8}")


if __name__ == "__main__":
    main()
