"""What no manifest of the lake names any more, and what killed writers have left: found, and removed when asked.

Units that no manifest names are superseded ones, and finished ones of a run that was killed, which goes on from them
when it is started again. So both stay until they are older than a time of grace. On a disk a partition is held while
something of it is removed, so that no run loses what it is about to name. Object storage has no locks: there age alone
protects a run of another machine. So what was finished since the last commit stays as long as the youngest of it, which
a run makes new when it uses it again, and the grace is an hour at least.
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
from visdiv_assets.storage.manifest import MANIFEST, Manifest

#: Seconds after which a temporary file is taken for a killed writer's, and the least grace on object storage.
TEMPORARY_AGE = 3600.0

SUPERSEDED = "superseded"
UNFINISHED = "of a run that did not finish"
TEMPORARY = "temporary file"
VANISHED = "no longer in the source"

#: Names that the lake gives to the files of a unit: its digest, and what the file is.
_OF_UNIT = re.compile(r"([0-9a-f]{32})\..+", re.DOTALL)
_RECORD = ".unit.json"


@dataclass(frozen=True)
class Garbage:
    """Files of one folder that can go for one reason.

    Attributes:
        table: of the lake, or the folder of other files.
        partition: as published, or the name of other files.
        why: the reason.
        files: how many.
        size_bytes: of all of them together.
    """

    table: str
    partition: str
    why: str
    files: int
    size_bytes: int


@dataclass
class Findings:
    """What was found, or removed.

    Attributes:
        garbage: what can go, or has gone.
        vanished: what could go, too, were it asked for: what belongs to names that the source no longer has.
        young_files: how many files no manifest names, but are younger than the grace.
        young_bytes: their size.
        left_alone: a line for each partition that was passed over, with the reason.
        named: the SHA-256 of all files that manifests name.
    """

    garbage: list[Garbage] = field(default_factory=list)
    vanished: list[Garbage] = field(default_factory=list)
    young_files: int = 0
    young_bytes: int = 0
    left_alone: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)

    @property
    def files(self) -> int:
        """Files that can go."""
        return sum(part.files for part in self.garbage)

    @property
    def size_bytes(self) -> int:
        """Their size together."""
        return sum(part.size_bytes for part in self.garbage)


@dataclass(frozen=True)
class Request:
    """What counts as garbage.

    Attributes:
        now: seconds since 1970.
        grace: seconds for which files stay that no manifest names.
        held: names of subsets and benchmarks that are not vanished; None if that is not known.
        with_vanished: whether what belongs to other names is garbage, too.
        delete: whether garbage is removed.
    """

    now: float
    grace: float
    held: Collection[str] | None = None
    with_vanished: bool = False
    delete: bool = False

    def has_vanished(self, name: str) -> bool:
        """Whether the source no longer has a subset or benchmark."""
        return self.held is not None and name not in self.held

    def removes(self, why: str) -> bool:
        """Whether what has a reason to go is garbage, and not only reported."""
        return self.with_vanished or why != VANISHED


def collect(lake: Lake, request: Request) -> Findings:
    """Find what can go of a lake, and remove it if asked; of a partition that is being written nothing is removed.

    Raises:
        StorageError: a file cannot be removed.
    """
    findings = Findings()
    now = lake.snapshot()
    for table in now.tables():
        for folder in now.files.folders(table):
            # Any other folder is none of this program's.
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
class _Seen:
    """The files of a partition that can go, by the reason, those that are too young to, and all hashes it names."""

    old: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    young: list[Entry] = field(default_factory=list)
    named: set[str] = field(default_factory=set)


def _collect_partition(place: _Partition, now: Lake, request: Request, findings: Findings) -> None:
    name = f"{place.table} of {place.name!r}"
    try:
        seen = _look(replace(place, lake=now), request)
    except VisdivError as error:
        findings.left_alone.append(f"{name}: {error}")
        return
    if request.delete and any(map(request.removes, seen.old)):
        with _held(place) as alone:
            if not alone:
                findings.left_alone.append(f"{name}: it is being written")
                return
            # Again, since it may have been written in between.
            seen = _look(place, request)
            _remove(place, [entry for why, entries in seen.old.items() if request.removes(why) for entry in entries])
    for why, entries in sorted(seen.old.items()):
        part = Garbage(place.table, place.name, why, len(entries), sum(entry.size_bytes for entry in entries))
        (findings.garbage if request.removes(why) else findings.vanished).append(part)
    findings.named |= seen.named
    findings.young_files += len(seen.young)
    findings.young_bytes += sum(entry.size_bytes for entry in seen.young)


def _look(place: _Partition, request: Request) -> _Seen:
    """Sort the files of a partition; those that the program does not name are none of its business.

    Raises:
        StorageError: its manifest is damaged, so that nobody knows what counts.
    """

    def age(entry: Entry) -> float:
        # A file system that does not know the time of change keeps everything.
        return 0.0 if entry.changed is None else request.now - entry.changed

    # In this order, what is committed in between is named.
    entries = place.lake.files.entries(place.folder)
    manifest = place.lake.manifest(place.table, place.name)
    named = _named(manifest)
    vanished = request.has_vanished(place.name)
    seen = _Seen()
    if manifest:
        seen.named |= {file.sha256 for unit in manifest.units for file in unit.files.values()}
    units: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.name in named:
            if vanished:
                seen.old[VANISHED].append(entry)
        elif is_temporary(entry.name):
            (seen.old[TEMPORARY] if age(entry) > TEMPORARY_AGE else seen.young).append(entry)
        elif match := _OF_UNIT.fullmatch(entry.name):
            # Nobody will go on from what a lost subset's last run has finished.
            (seen.old[VANISHED] if vanished and request.with_vanished else units[match[1]]).append(entry)
    committed = next((entry.changed for entry in entries if entry.name == MANIFEST), None) if manifest else None
    has_locks = place.lake.files.is_local
    # Units without a manifest are those of one run, which needs all of them when it is started again.
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


def _named(manifest: Manifest | None) -> set[str]:
    if manifest is None:
        return set()
    files = {file.name for unit in manifest.units for file in unit.files.values()}
    return {MANIFEST, *files, *(f"{unit.digest}{_RECORD}" for unit in manifest.units)}


def _why(unit: list[Entry], committed: float | None) -> str:
    """Finished before the last commit, a unit was not wanted any more; else its run has not come to its commit.

    Args:
        unit: its files.
        committed: when the manifest was written; None if there is none.
    """
    finished = next((entry.changed for entry in unit if entry.name.endswith(_RECORD)), None)
    return SUPERSEDED if committed is not None and finished is not None and finished <= committed else UNFINISHED


def _remove(place: _Partition, entries: list[Entry]) -> None:
    """Remove files, and the folder once it is empty: none ever names another that is gone already."""

    def rank(entry: Entry) -> int:
        return 0 if entry.name == MANIFEST else 1 if entry.name.endswith(_RECORD) else 2

    for entry in sorted(entries, key=rank):
        place.lake.files.remove(f"{place.folder}/{entry.name}")
    place.lake.files.remove_empty_folder(place.folder)


@contextmanager
def _held(place: _Partition) -> Iterator[bool]:
    """Hold a partition for the block unless another process does; tells whether it is held."""
    from filelock import FileLock, Timeout

    if not place.lake.files.is_local:
        yield True
        return
    path = place.lake.lock_path(place.table, place.name)
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise StorageError(f"cannot remove anything of {place.lake.files.root}: {error.strerror}") from error
    try:
        yield True
    finally:
        lock.release()
