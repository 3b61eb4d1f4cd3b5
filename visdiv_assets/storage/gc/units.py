"""Garbage in the lake: files that no manifest names, and temporary files of killed writers.

A unit that no manifest names is either superseded, or was finished by a killed run, which reuses it when it resumes.
Both are kept until they are older than a grace period. On a disk, a partition is locked while its garbage is removed,
so that no run loses a unit that it is about to commit. Object storage has no locks; only age protects the run of
another machine. There, all units finished since the last commit are kept as long as the youngest of them, a run that
reuses a unit writes its record again, and the grace period is at least an hour.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from visdiv_assets.errors import StorageError, VisdivError
from visdiv_assets.storage.files import Entry, escape, is_temporary, unescape
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import MANIFEST, UNIT_RECORD, Manifest

#: Seconds after which a temporary file counts as that of a killed writer; also the minimum grace on object storage.
TEMPORARY_AGE = 3600.0

SUPERSEDED = "superseded"
UNFINISHED = "from an unfinished run"
TEMPORARY = "temporary file"
VANISHED = "no longer in the source"

#: Names of the files of a unit: its digest, the role and the extension.
_UNIT_FILE = re.compile(r"([0-9a-f]{32})\..+", re.DOTALL)


@dataclass(frozen=True)
class Garbage:
    """Files of one folder that can be removed for one reason.

    Attributes:
        table: the table of the lake, or the folder of other files.
        partition: the partition as published, or the name of other files.
        why: the reason.
        files: number of files.
        size_bytes: their total size.
    """

    table: str
    partition: str
    why: str
    files: int
    size_bytes: int


@dataclass
class Findings:
    """Garbage that was found, or removed.

    Attributes:
        garbage: files that can be removed, or were.
        vanished: files of subsets and benchmarks that the source no longer has, if the request does not include them.
        young_files: number of files that no manifest names and that are younger than the grace period.
        young_bytes: their total size.
        skipped: one line for each partition that was skipped, with the reason.
        referenced: the SHA-256 of all files that manifests list.
    """

    garbage: list[Garbage] = field(default_factory=list)
    vanished: list[Garbage] = field(default_factory=list)
    young_files: int = 0
    young_bytes: int = 0
    skipped: list[str] = field(default_factory=list)
    referenced: set[str] = field(default_factory=set)

    @property
    def files(self) -> int:
        """Number of files that can be removed, or were."""
        return sum(part.files for part in self.garbage)

    @property
    def size_bytes(self) -> int:
        """Their total size in bytes."""
        return sum(part.size_bytes for part in self.garbage)


@dataclass(frozen=True)
class Request:
    """What counts as garbage, and whether to remove it.

    Attributes:
        now: the present time in seconds since 1970.
        grace: age in seconds up to which unreferenced files are kept.
        known_names: names of the partitions that have not vanished from the source; None if they are unknown.
        with_vanished: whether files of all other partitions are garbage, too.
        delete: whether garbage is removed.
    """

    now: float
    grace: float
    known_names: Collection[str] | None = None
    with_vanished: bool = False
    delete: bool = False

    def has_vanished(self, name: str) -> bool:
        """Return whether the source no longer has a subset or benchmark."""
        return self.known_names is not None and name not in self.known_names

    def removes(self, why: str) -> bool:
        """Return whether files with this reason are garbage; otherwise they are only reported."""
        return self.with_vanished or why != VANISHED


def collect(lake: Lake, request: Request) -> Findings:
    """Find the garbage in a lake and remove it if requested, except from partitions that are being written.

    Raises:
        StorageError: a file cannot be removed.
    """
    findings = Findings()
    now = lake.snapshot()
    for table in now.tables():
        for folder in now.files.folders(table):
            # Any other folder was not created by this program.
            if escape(unescape(folder)) == folder:
                _collect_partition(_Partition(lake, table, unescape(folder)), now, request, findings)
    return findings


@dataclass(frozen=True)
class _Partition:
    lake: Lake
    table: str
    name: str

    @property
    def folder(self) -> str:
        return f"{self.table}/{escape(self.name)}"


@dataclass
class _Sorted:
    """A partition's removable files by reason, its files within the grace period, and the hashes in its manifest."""

    old: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    young: list[Entry] = field(default_factory=list)
    referenced: set[str] = field(default_factory=set)


def _collect_partition(partition: _Partition, now: Lake, request: Request, findings: Findings) -> None:
    name = f"{partition.table} of {partition.name!r}"
    try:
        seen = _sort_files(replace(partition, lake=now), request)
    except VisdivError as error:
        findings.skipped.append(f"{name}: {error}")
        return
    if request.delete and any(map(request.removes, seen.old)):
        with _lock(partition) as is_locked:
            if not is_locked:
                findings.skipped.append(f"{name}: it is being written")
                return
            # Sort again, since the partition may have been written in between.
            seen = _sort_files(partition, request)
            _remove(
                partition, [entry for why, entries in seen.old.items() if request.removes(why) for entry in entries]
            )
    for why, entries in sorted(seen.old.items()):
        part = Garbage(partition.table, partition.name, why, len(entries), sum(entry.size_bytes for entry in entries))
        (findings.garbage if request.removes(why) else findings.vanished).append(part)
    findings.referenced |= seen.referenced
    findings.young_files += len(seen.young)
    findings.young_bytes += sum(entry.size_bytes for entry in seen.young)


def _sort_files(partition: _Partition, request: Request) -> _Sorted:
    """Sort the files of a partition, without those whose names are not the lake's.

    Raises:
        StorageError: its manifest cannot be read, so that its content is unknown.
    """

    def age(entry: Entry) -> float:
        # A file without a known modification time is kept.
        return 0.0 if entry.changed is None else request.now - entry.changed

    # In this order, units that are committed in between are in the manifest.
    entries = partition.lake.files.entries(partition.folder)
    manifest = partition.lake.manifest(partition.table, partition.name)
    named = _list_names(manifest)
    vanished = request.has_vanished(partition.name)
    seen = _Sorted()
    if manifest:
        seen.referenced |= {file.sha256 for unit in manifest.units for file in unit.files.values()}
    units: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.name in named:
            if vanished:
                seen.old[VANISHED].append(entry)
        elif is_temporary(entry.name):
            (seen.old[TEMPORARY] if age(entry) > TEMPORARY_AGE else seen.young).append(entry)
        elif match := _UNIT_FILE.fullmatch(entry.name):
            # The units of an unfinished run on a vanished subset will never be reused.
            (seen.old[VANISHED] if vanished and request.with_vanished else units[match[1]]).append(entry)
    committed = next((entry.changed for entry in entries if entry.name == MANIFEST), None) if manifest else None
    has_locks = partition.lake.files.is_local
    # Without a manifest, all units belong to one run, which needs all of them when it resumes.
    together = [
        unit for unit in units.values() if not manifest or (not has_locks and _why(unit, committed) != SUPERSEDED)
    ]
    groups = [unit for unit in units.values() if unit not in together]
    groups.append([entry for unit in together for entry in unit])
    grace = request.grace if has_locks else max(request.grace, TEMPORARY_AGE)
    for group in filter(None, groups):
        if min(map(age, group)) > grace:
            seen.old[_why(group, committed)] += group
        else:
            seen.young += group
    return seen


def _list_names(manifest: Manifest | None) -> set[str]:
    if manifest is None:
        return set()
    files = {file.name for unit in manifest.units for file in unit.files.values()}
    return {MANIFEST, *files, *(f"{unit.digest}{UNIT_RECORD}" for unit in manifest.units)}


def _why(unit: list[Entry], committed: float | None) -> str:
    """Return why no manifest names a unit: it is superseded if it was finished before the last commit.

    Args:
        unit: the unit's files.
        committed: when the manifest was written; None if there is none.
    """
    finished = next((entry.changed for entry in unit if entry.name.endswith(UNIT_RECORD)), None)
    return SUPERSEDED if committed is not None and finished is not None and finished <= committed else UNFINISHED


def _remove(partition: _Partition, entries: list[Entry]) -> None:
    """Remove files, and the folder if it is then empty; a file is removed before the files that it names."""

    def rank(entry: Entry) -> int:
        return 0 if entry.name == MANIFEST else 1 if entry.name.endswith(UNIT_RECORD) else 2

    for entry in sorted(entries, key=rank):
        partition.lake.files.remove(f"{partition.folder}/{entry.name}")
    partition.lake.files.remove_empty_folder(partition.folder)


@contextmanager
def _lock(partition: _Partition) -> Iterator[bool]:
    """Lock a partition for the block unless another process has locked it; yield whether this succeeded."""
    from filelock import FileLock, Timeout

    if not partition.lake.files.is_local:
        yield True
        return
    path = partition.lake.lock_path(partition.table, partition.name)
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}: fix the permissions") from error
    try:
        yield True
    finally:
        lock.release()
