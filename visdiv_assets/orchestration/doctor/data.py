"""Check the data folder: free space, its file system, and the integrity of its files."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
import warnings
from pathlib import Path

from visdiv_assets.corpus.tables import TABLES as LAKE_TABLES
from visdiv_assets.corpus.tables import remedy
from visdiv_assets.duplicates.person_decisions import read_decisions
from visdiv_assets.orchestration.doctor.verdicts import Verdict, ok, problem, warning
from visdiv_assets.settings import GRACE_DAYS, Settings
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.files import Files, replace_local
from visdiv_assets.storage.gc.leftovers import collect_copies, collect_leftovers
from visdiv_assets.storage.gc.units import Request, collect
from visdiv_assets.storage.integrity import Damage, find_damage
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import path_in_lake
from visdiv_assets.wiring import open_lake
from visdiv_assets.wording import several

#: Bytes of unreferenced files above which they are a warning.
_MAX_GARBAGE = GIGABYTE
#: Maximum number of damaged partitions in a verdict.
_MAX_NAMED = 3


def check_space(settings: Settings) -> Verdict:
    """Check that the disk has space for the reserve, for another DuckDB file beside the old one, and for downloads."""
    disk = disk_space.space_of(settings.data_folder)
    reserve = disk_space.reserve_on(disk, round(settings.disk_reserve_gigabytes * GIGABYTE))
    warehouse = Path(settings.warehouse_path)
    needs = {"reserve": reserve, "the next DuckDB file": warehouse.stat().st_size if warehouse.is_file() else 0}
    if settings.source.startswith("hf://"):
        limit = round(settings.download_cache_gigabytes * GIGABYTE)
        needs["downloads"] = max(0, limit - _folder_size(settings.downloads_folder))
    parts = ", ".join(f"{size / GIGABYTE:.2f} GB {name}" for name, size in needs.items())
    text = f"{disk.free / GIGABYTE:.1f} of {disk.total / GIGABYTE:.1f} GB free at {settings.data_folder} ({parts})"
    if disk.free < reserve:
        return problem(f"{text}: runs stop at once; free some space, or lower VISDIV_DISK_RESERVE_GIGABYTES")
    if disk.free < sum(needs.values()):
        return warning(f"{text}: less than their sum, so a run may stop for lack of space: free some space")
    return ok(text)


def check_folder(settings: Settings) -> Verdict:
    """Check that the data folder can be written, and that its file system syncs, renames and locks files."""
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
                    f"{there} does not return what was written: set {settings.data_variable} to a local disk"
                )
            took = time.monotonic() - begin
            locks = _locks_work(Path(scratch) / "lock")
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return problem(f"{there} cannot be written: {reason}; set {settings.data_variable} to another folder")
    if not locks:
        return problem(
            f"file locks do not work in {there}, so two runs could overwrite each other's results: set "
            f"{settings.data_variable} to a local disk"
        )
    where = "" if there == folder else f" (the first run creates it; tested in {there})"
    return ok(f"{folder} can be written, synced ({1000 * took / 2:.0f} ms a file), renamed and locked{where}")


def _locks_work(path: Path) -> bool:
    """Return whether the system refuses a second holder of a lock, rather than a lock file existing."""
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
    """Check that objects can be written, replaced, listed, read and removed; None if the data is on a disk."""
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
        return problem(
            f"{files.display('')} does not return or list what was written: use a store that is strongly consistent"
        )
    return ok(f"{files.display('')} can be written ({1000 * took / 2:.0f} ms an object), replaced, listed and removed")


def check_lake(settings: Settings, *, deep: bool = False) -> Verdict:
    """Check that every manifest can be read, and every file that it names.

    Args:
        settings: the settings.
        deep: whether to compare the checksums of all files, rather than only their sizes.
    """
    lake = open_lake(settings).snapshot()
    by_partition: dict[tuple[str, str], list[Damage]] = {}
    for damage in find_damage(lake, deep=deep):
        by_partition.setdefault((damage.table, damage.partition), []).append(damage)
    damaged = [_describe(lake, damages) for damages in by_partition.values()]
    if damaged:
        more = f" (and {len(damaged) - _MAX_NAMED} more)" if len(damaged) > _MAX_NAMED else ""
        return problem("; ".join(damaged[:_MAX_NAMED]) + more)
    manifests = [lake.require(table, partition) for table in lake.tables() for partition in lake.partitions(table)]
    if not manifests:
        return ok("nothing is materialized yet: run `visdiv run --all`")
    tables = len({manifest.table for manifest in manifests})
    size = sum(manifest.size_bytes for manifest in manifests)
    state = "every file has the bytes that were written" if deep else "no file is missing or truncated"
    return ok(f"{len(manifests)} partitions of {tables} tables, {size / 1e6:.1f} MB, {state}")


def _describe(lake: Lake, damages: list[Damage]) -> str:
    """Return a line on the damaged files of a partition, and how they are made again."""
    first = damages[0]
    if first.path is None:
        return first.fault
    others = f" (and {several(len(damages) - 1, 'other file')} of it)" if len(damages) > 1 else ""
    made = path_in_lake(first.table, first.partition) if others else first.path
    return (
        f"{lake.files.display(first.path)} {first.fault}{others}: remove {lake.files.display(made)}, then "
        f"{_remedy(first.table, first.partition)}"
    )


def check_warehouse(settings: Settings) -> Verdict:
    """Check that the DuckDB file can be opened read-only and has the tables of this version."""
    import duckdb

    from visdiv_assets.publishing.warehouse.publish import leftover_logs
    from visdiv_assets.publishing.warehouse.reading import is_truncated, open_to_read
    from visdiv_assets.publishing.warehouse.schema import TABLES

    path = Path(settings.warehouse_path)
    if logs := leftover_logs(path):
        return warning(
            f"{logs[0]} has changes of a program that opened the file for writing and has not closed it, and every "
            "reader sees them: close the program, then run `visdiv run --all`, which publishes the file without them"
        )
    if not path.exists():
        return ok("not published yet: run `visdiv run --all`")
    try:
        with open_to_read(path) as connection:
            if is_truncated(connection, path):
                return problem(f"{path} is truncated: run `visdiv run --all` to publish it again")
            found = {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        return problem(
            f"{path} cannot be opened ({reason}): remove it, then run `visdiv run --all` to publish it again"
        )
    missing = [table.name for table in TABLES if table.name not in found]
    if missing:
        return warning(
            f"{path} was published by another version and lacks {', '.join(missing)}: run `visdiv run --all`"
        )
    return ok(f"{path} opens read-only: {len(found)} tables, {path.stat().st_size / 1e6:.1f} MB")


def check_decisions(settings: Settings) -> Verdict | None:
    """Check that people's decisions can be read; None if there are none, and no file of them is set."""
    path = Path(settings.decisions_path)
    if not path.exists():
        if not settings.decisions:
            return None
        return warning(
            f"VISDIV_DECISIONS is {path}, which does not exist, so runs obey no decisions: correct the setting, or "
            "run `visdiv review`, which writes the file"
        )
    pairs = read_decisions(path).table.num_rows
    return ok(f"{path}: people have decided on {several(pairs, 'pair')}")


def check_garbage(settings: Settings) -> Verdict:
    """Check how much `visdiv gc` would delete."""
    request = Request(now=time.time(), grace=GRACE_DAYS * 86_400)
    of_lake = collect(open_lake(settings), request)
    copies = collect_copies(settings.vectors_folder, of_lake.referenced, request)
    found = of_lake, collect_leftovers(settings.data_folder, request), copies
    size, files = sum(part.size_bytes for part in found), sum(part.files for part in found)
    if not files:
        return ok("no unreferenced files")
    text = f"{files} unreferenced files, {size / 1e6:.1f} MB: `visdiv gc` lists them"
    return warning(text) if size > _MAX_GARBAGE else ok(text)


def _folder_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _remedy(table: str, partition: str) -> str:
    """Return what makes a partition; a lake of another version may have other tables."""
    return remedy(table, partition) if table in LAKE_TABLES else "materialize it again with the version that wrote it"
