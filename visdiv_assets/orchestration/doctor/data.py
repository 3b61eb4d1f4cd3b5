"""The data folder: room, what its file system can do, and whether what lies in it is whole."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
import warnings
from pathlib import Path

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import GRACE_DAYS, Settings
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.files import Files, escape, replace_local
from visdiv_assets.storage.gc.leftovers import collect_copies, collect_leftovers
from visdiv_assets.storage.gc.units import Request, collect
from visdiv_assets.wiring import open_lake

#: Garbage that is worth a warning, in bytes.
_MUCH = GIGABYTE
#: Damaged partitions that are named in the line.
_NAMED = 3


def check_space(settings: Settings) -> Verdict:
    """Whether the disk has room for the reserve, for another DuckDB file beside the old one, and for downloads."""
    disk = disk_space.space_of(settings.data_folder)
    reserve = disk_space.reserve_on(disk, round(settings.disk_reserve_gigabytes * GIGABYTE))
    warehouse = Path(settings.warehouse_path)
    needs = {"reserve": reserve, "the next DuckDB file": warehouse.stat().st_size if warehouse.is_file() else 0}
    if settings.source.startswith("hf://"):
        limit = round(settings.download_cache_gigabytes * GIGABYTE)
        needs["downloads"] = max(0, limit - _size_below(settings.downloads_folder))
    parts = ", ".join(f"{size / GIGABYTE:.2f} GB {name}" for name, size in needs.items())
    text = f"{disk.free / GIGABYTE:.1f} of {disk.total / GIGABYTE:.1f} GB free at {settings.data_folder} ({parts})"
    if disk.free < reserve:
        return problem(f"{text}: no run begins; free some space or set VISDIV_DISK_RESERVE_GIGABYTES lower")
    if disk.free < sum(needs.values()):
        return warning(f"{text}: less than these together")
    return ok(text)


def check_folder(settings: Settings) -> Verdict:
    """Whether the data folder can be written, and its file system syncs, renames and locks files."""
    folder = settings.data_folder
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        return problem(f"{there} is a file: set {settings.data_variable} to a folder")
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=".visdiv-doctor-", dir=there) as scratch:
            file = Path(scratch) / "file"
            for content in (b"first", b"second"):
                with replace_local(file) as stream:
                    stream.write(content)
            if file.read_bytes() != b"second":
                return problem(
                    f"what is written to {there} is not read back: set {settings.data_variable} to a local disk"
                )
            took = time.monotonic() - begin
            locks = _locks_work(Path(scratch) / "lock")
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return problem(f"{there} cannot be written: {reason}; set {settings.data_variable} to another folder")
    if not locks:
        return problem(
            f"locks do not work at {there}, so two runs would write over each other: set {settings.data_variable} to a "
            "local disk"
        )
    where = "" if there == folder else f" (it is made by the first run, tried in {there})"
    return ok(f"{folder} can be written, synced ({1000 * took / 2:.0f} ms a file), renamed and locked{where}")


def _locks_work(path: Path) -> bool:
    """Whether a second holder is kept out, by the system and not by the mere existence of a file."""
    from filelock import FileLock, Timeout, UnixFileLock

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with FileLock(path) as lock:
            if not isinstance(lock, UnixFileLock):
                return False
            try:
                with FileLock(path, timeout=0):
                    return False
            except Timeout:
                return True


def check_storage(settings: Settings) -> Verdict | None:
    """Whether objects can be written, replaced, listed, read and removed; None where the data lies on a disk."""
    if not settings.is_remote:
        return None
    files = Files(settings.data)
    path = f".visdiv-doctor-{uuid.uuid4().hex}"
    begin = time.monotonic()
    for content in (b"first", b"second"):
        with files.replace(path) as stream:
            stream.write(content)
    took = time.monotonic() - begin
    listed, read = [entry.name for entry in files.entries("")], files.read(path)
    files.remove(path)
    if read != b"second" or path not in listed:
        return problem(f"what is written to {files.display('')} is not read back or listed: use a store that does")
    return ok(f"{files.display('')} can be written ({1000 * took / 2:.0f} ms an object), replaced, listed and removed")


def check_lake(settings: Settings) -> Verdict:
    """Whether every manifest can be read, and every file that it names is there in its size."""
    lake = open_lake(settings).snapshot()
    partitions, size, damaged = 0, 0, []
    tables = lake.tables()
    for table in tables:
        for partition in lake.partitions(table):
            partitions += 1
            try:
                manifest = lake.require(table, partition)
            except VisdivError as error:
                damaged.append(str(error))
                continue
            present = {entry.name: entry.size_bytes for entry in lake.files.entries(f"{table}/{escape(partition)}")}
            files = [file for unit in manifest.units for file in unit.files.values()]
            size += sum(file.size_bytes for file in files)
            if any(present.get(file.name) != file.size_bytes for file in files):
                damaged.append(f"a file of {table} of {partition!r} is missing or damaged: materialize it again")
    if damaged:
        more = f" (and {len(damaged) - _NAMED} more)" if len(damaged) > _NAMED else ""
        return problem("; ".join(damaged[:_NAMED]) + more)
    if not partitions:
        return ok("nothing materialized yet: `visdiv run --all` begins")
    return ok(f"{partitions} partitions of {len(tables)} tables, {size / 1e6:.1f} MB, every file there in its size")


def check_warehouse(settings: Settings) -> Verdict:
    """Whether the DuckDB file can be opened, read-only, and has the tables of this version."""
    import duckdb

    from visdiv_assets.publishing.warehouse.schema import TABLES

    path = Path(settings.warehouse_path)
    if not path.exists():
        return ok("not published yet: `visdiv run --all` ends with it")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            found = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        return problem(f"{path} cannot be opened ({reason}): remove it, and `visdiv run --all` publishes it again")
    missing = [table.name for table in TABLES if table.name not in found]
    if missing:
        return warning(
            f"{path} is of another version, without {', '.join(missing)}: `visdiv run --all` publishes it again"
        )
    return ok(f"{path} opens read-only: {len(found)} tables, {path.stat().st_size / 1e6:.1f} MB")


def check_garbage(settings: Settings) -> Verdict:
    """How much `visdiv gc` would remove."""
    request = Request(now=time.time(), grace=GRACE_DAYS * 86_400)
    of_lake = collect(open_lake(settings), request)
    copies = collect_copies(settings.vectors_folder, of_lake.referenced, request)
    found = of_lake, collect_leftovers(settings.data_folder, request), copies
    size, files = sum(part.size_bytes for part in found), sum(part.files for part in found)
    if not files:
        return ok("nothing that can go")
    text = f"{files} files, {size / 1e6:.1f} MB, can go: `visdiv gc` lists them"
    return warning(text) if size > _MUCH else ok(text)


def _size_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
