"""Measure how often a whole run reads its source: opens of each file, and bytes that a Hub serves.

    python -m visdiv_assets_tests.testing.source_reads opens      # needs strace
    python -m visdiv_assets_tests.testing.source_reads served     # a Hub on the loopback address

Both run `visdiv run --all` on the sample, with CLIP's random weights, and then `visdiv report`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from visdiv_assets.sources.catalog import BENCHMARK_COLUMNS
from visdiv_assets_tests.conftest import SAMPLE
from visdiv_assets_tests.testing.clip_models import small_clip
from visdiv_assets_tests.testing.hub_server import folder_files, serving

DATASET, BENCHMARK = "HuggingFaceM4/FineVision", "lmms-lab/clipart"

_OPENED = re.compile(r'open(?:at)?\(.*"([^"]+\.parquet)".* = \d+$')


def run_visdiv(*arguments: str, variables: Mapping[str, str], under: Sequence[str] = ()) -> None:
    """Run a command of this checkout in another process.

    Args:
        arguments: of `visdiv`.
        variables: settings; others of this process do not count.
        under: a program that runs the command, with its arguments.

    Raises:
        RuntimeError: the command failed.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VISDIV_", "DAGSTER_"))}
    command = [*under, sys.executable, "-m", "visdiv_assets", *arguments]
    ran = subprocess.run(command, env={**inherited, **variables}, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"visdiv {' '.join(arguments)} failed:\n{ran.stdout}")


def count_opens(folder: Path, source: Path = SAMPLE) -> Counter[str]:
    """Return how often each Parquet file of a source is opened by a whole run.

    Args:
        folder: an empty folder to work in.
        source: a source on disk.
    """
    log = folder / "opens"
    clip = small_clip(folder / "clip")
    variables = {"VISDIV_SOURCE": str(source), "VISDIV_DATA": str(folder / "data"), "VISDIV_CLIP_MODEL": str(clip)}
    strace = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-A",
        "-e",
        "trace=open,openat",
        "-e",
        "signal=none",
        "-o",
        str(log),
    ]
    for arguments in (("run", "--all"), ("report",)):
        run_visdiv(*arguments, variables=variables, under=strace)
    found = (_OPENED.search(line) for line in log.read_text(errors="replace").splitlines())
    paths = (match[1] for match in found if match and match[1].startswith(str(source)))
    return Counter(Path(path).relative_to(source).as_posix() for path in paths)


def count_served(folder: Path, cache_gigabytes: float, source: Path = SAMPLE) -> dict[str, float]:
    """Return the bytes that a Hub has served after each command of a whole run, as factors of the dataset's size.

    Args:
        folder: an empty folder to work in.
        cache_gigabytes: size of the cache of downloads.
        source: folder whose subsets and only benchmark the Hub has.
    """
    clip = small_clip(folder / "clip")
    catalog = folder / "benchmarks.csv"
    cells = {"list": "finevision66", "hub_id": BENCHMARK, "split": "test"}
    rows = [BENCHMARK_COLUMNS, [cells.get(column, "") for column in BENCHMARK_COLUMNS]]
    catalog.write_text("\n".join(",".join(row) for row in rows))
    (benchmark,) = (source / "benchmarks").iterdir()
    found: dict[str, float] = {}
    with serving() as server:
        server.add(DATASET, folder_files(source / "subsets"))
        server.add(BENCHMARK, folder_files(benchmark, "data/"))
        size = sum(
            len(data) for repository in server.repositories.values() for data in repository.revisions["main"].values()
        )
        variables = {
            "HF_ENDPOINT": server.url,
            "no_proxy": "*",
            "VISDIV_SOURCE": f"hf://datasets/{DATASET}",
            "VISDIV_DATA": str(folder / "data"),
            "VISDIV_CLIP_MODEL": str(clip),
            "VISDIV_BENCHMARK_CATALOG": str(catalog),
            "VISDIV_DOWNLOAD_CACHE_GIGABYTES": str(cache_gigabytes),
        }
        for arguments in (("run", "--all"), ("report",)):
            run_visdiv(*arguments, variables=variables)
            found[" ".join(arguments)] = server.sent / size
    return found


def main() -> None:
    """Print the measurements that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["opens", "served"])
    parser.add_argument("--cache", type=float, default=50.0, help="gigabytes of the cache of downloads")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visdiv-reads-") as folder:
        figures: Mapping[str, float] = (
            count_opens(Path(folder)) if given.what == "opens" else count_served(Path(folder), given.cache)
        )
    for name, figure in sorted(figures.items()):
        print(f"{figure:8.2f}  {name}")  # noqa: T201  this is a command


if __name__ == "__main__":
    main()
