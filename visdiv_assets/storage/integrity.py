"""Find files of a lake that are missing, truncated, or have other bytes than those that were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.error_messages import is_of_system, read_error
from visdiv_assets.storage.files import Files
from visdiv_assets.storage.manifest import DataFile, path_in_lake

if TYPE_CHECKING:
    from visdiv_assets.storage.lake import Lake

#: Bytes that are read at once.
_CHUNK = 4 << 20
#: Maximum number of damaged partitions that a message names.
_MAX_NAMED = 3


class DamagedFileError(StorageError):
    """A file of the lake has other bytes than those that were written."""


@dataclass(frozen=True)
class Damage:
    """A damaged file of a partition, or a manifest that cannot be read.

    Attributes:
        table: the table's name.
        partition: the partition's name.
        fault: what is wrong with the file, as a predicate ("is missing"), or the whole message about a manifest.
        path: path of the file in the lake; None for a manifest.
    """

    table: str
    partition: str
    fault: str
    path: str | None = None


def find_damage(lake: Lake, *, deep: bool = False) -> Iterator[Damage]:
    """Yield every damaged file that a manifest names, and every manifest that cannot be read.

    Args:
        lake: the lake.
        deep: whether to read all files and compare their checksums, rather than only their sizes.
    """
    for table in lake.tables():
        for partition in lake.partitions(table):
            yield from _damage_of(lake, table, partition, deep=deep)


def _damage_of(lake: Lake, table: str, partition: str, *, deep: bool) -> Iterator[Damage]:
    try:
        manifest = lake.require(table, partition)
    except StorageError as error:
        yield Damage(table, partition, str(error))
        return
    present = {entry.name: entry.size_bytes for entry in lake.files.entries(path_in_lake(table, partition))}
    for unit in manifest.units:
        for file in unit.files.values():
            path = manifest.path_of(file.name)
            if file.name not in present:
                yield Damage(table, partition, "is missing", path)
            elif present[file.name] != file.size_bytes:
                yield Damage(table, partition, "has another size than it was written with", path)
            elif deep and not content_matches(lake.files, path, file):
                yield Damage(table, partition, "has other bytes than those that were written", path)


def content_matches(files: Files, path: str, file: DataFile) -> bool:
    """Return whether a file has the SHA-256 that it was written with.

    Raises:
        StorageError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with files.filesystem.open_input_stream(files.full_path(path)) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise read_error(files.display(path), error) from error
    return digest.hexdigest() == file.sha256


@contextmanager
def removing_damage(lake: Lake) -> Iterator[None]:
    """Remove all damaged files of a lake if one is read, so that the next runs of their partitions make them again.

    Raises:
        DamagedFileError: names the first of them, the partitions, and the command that makes them again.
    """
    import pyarrow as pa

    try:
        yield
    except (DamagedFileError, pa.ArrowException, UnicodeDecodeError, OSError) as error:
        # Errors of Arrow's readers name no file.
        if is_of_system(error):
            raise
        damaged = _remove_damage(lake)
        if not damaged:
            raise
        first = damaged[0]
        partitions = list(dict.fromkeys((damage.table, damage.partition) for damage in damaged))
        named = ", ".join(f"{table} of {partition!r}" for table, partition in partitions[:_MAX_NAMED])
        more = f" and {len(partitions) - _MAX_NAMED} more" if len(partitions) > _MAX_NAMED else ""
        raise DamagedFileError(
            f"{lake.files.display(first.path or '')} {first.fault}; damaged files are removed: materialize {named}"
            f"{more} again, or run `visdiv run --all`, and check the disk"
        ) from None


def _remove_damage(lake: Lake) -> list[Damage]:
    """Read all files of a lake, and remove and return the damaged ones that manifests name, sorted by table."""
    found = [damage for damage in find_damage(lake, deep=True) if damage.path]
    for damage in found:
        lake.files.remove(str(damage.path))
    return found
