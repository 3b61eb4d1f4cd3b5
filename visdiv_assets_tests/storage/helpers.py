"""Helpers of the storage tests: small tables, and Python programs in separate processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.locks import LOCKS
from visdiv_assets.storage.manifest import Manifest

#: The folder from which Python imports these tests.
REPOSITORY = Path(__file__).parents[2]

NUMBERS = pa.schema([("number", pa.int64())])

#: Names with special meanings in a file system, a shell, a URL or a Hive path.
ODD_NAMES = (
    "geoqa+(mathv360k)",
    "../x",
    ".",
    "..",
    "a/b",
    "a\\b",
    "%2E",
    "a%2Fb",
    "a b",
    " ",
    "~",
    "key=value",
    "*?[x]",
    "-rf",
    "_hidden",
    ".hidden",
    "manifest.json",
    "été 中文 🦆",
    "line\nbreak",
    "quo\"te's",
    "$HOME",
    "#1?a=b&c",
)


def numbers(*values: int) -> pa.Table:
    return pa.table([pa.array(values, pa.int64())], schema=NUMBERS)


def write_numbers(
    lake: Lake, partition: str, units: dict[str, Sequence[int]], table: str = "table", **plan: object
) -> Manifest:
    """Commit a partition whose units hold numbers."""
    write = lake.write(table, partition, **{"code_version": "1", **plan})  # type: ignore[arg-type]
    for name, values in units.items():
        with write.add(name) as unit:
            unit.table("rows", numbers(*values), NUMBERS)
    return write.commit()


def begin(lake: Lake, **plan: Any) -> PartitionWrite:
    """Begin to write `some` of `table`."""
    return lake.write("table", "some", **{"code_version": "1", **plan})


def add(write: PartitionWrite, name: str, *values: int, inputs: dict[str, str] | None = None) -> None:
    """Write a unit that holds numbers."""
    with write.add(name, inputs) as unit:
        unit.table("rows", numbers(*values), NUMBERS)


def read_numbers(lake: Lake, partition: str, table: str = "table") -> list[int]:
    values: list[int] = lake.read(lake.require(table, partition))["number"].to_pylist()
    return values


def files_below(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder by relative path, except the empty lock files of a lake."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and LOCKS not in path.parts
    }


def run_python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a separate process; `sys.argv[1:]` are the arguments."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def damage(path: Path, harm: str) -> None:
    """Take a file's last byte if it is to be "cut off", or remove it."""
    content = path.read_bytes()
    path.unlink()
    if harm == "cut off":
        path.write_bytes(content[:-1])


def flip(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
