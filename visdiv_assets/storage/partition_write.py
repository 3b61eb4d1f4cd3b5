"""Writing of a new state of a partition; `lake` describes the files on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.blobs import ENDS_SUFFIX, write_blobs
from visdiv_assets.storage.files import Entry, Files
from visdiv_assets.storage.locks import Hold
from visdiv_assets.storage.manifest import (
    MANIFEST,
    UNIT_RECORD,
    DataFile,
    Manifest,
    Unit,
    digest_of,
    unit_from_json,
    unit_to_json,
)
from visdiv_assets.storage.streams import Hashing

#: Age in seconds from which a reused unit on object storage is touched; less than any grace period of `visdiv gc`.
YOUNG_SECONDS = 3600.0


@dataclass
class PartitionWrite:
    """A new state of a partition: units are added or reused, then committed together. Begin one with `Lake.write`.

    Attributes:
        files: the files of the lake.
        require_space: raises a StorageError if the disk has less free space than the lake's reserve.
        plan: the manifest to be, without units.
        reused: number of units that were reused.
    """

    files: Files
    require_space: Callable[[], None]
    plan: Manifest
    _hold: Hold | None
    _units: list[Unit] = field(default_factory=list)
    reused: int = 0
    _listed: dict[str, Entry] | None = None

    def reuse(self, name: str, inputs: Mapping[str, str] | None = None) -> bool:
        """Adopt a unit that an earlier run finished from the same inputs.

        Args:
            name: the unit's name, for example its shard's.
            inputs: digests of what this unit is made from, beyond the partition's settings and code version.

        Returns:
            whether there was one; if not, compute it and `add` it with the same name and inputs.

        Raises:
            NewerFormatError: a newer release wrote the unit.
        """
        record = f"{self._digest(name, inputs)}{UNIT_RECORD}"
        data = self.files.read(self._path(record))
        if data is None:
            return False
        try:
            unit = unit_from_json(data, self.files.display(self._path(record)))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # damaged: the unit is made again
        if any(self._size(file.name) != file.size_bytes for file in unit.files.values()):
            return False
        self._touch(record, data)
        self._units.append(unit)
        self.reused += 1
        return True

    def reuse_all(self, earlier: Manifest) -> bool:
        """Adopt all units of an earlier state of the partition, made from the same inputs.

        Returns:
            whether all of them are there; if not, none is adopted.
        """
        found = self.scratch()
        if not all(found.reuse(unit.name, self.plan.inputs) for unit in earlier.units):
            return False
        self._units += found._units
        self.reused += found.reused
        return True

    @contextmanager
    def add(self, name: str, inputs: Mapping[str, str] | None = None) -> Iterator[UnitWrite]:
        """Write the files of one unit; it counts as finished only when the block ends without an exception.

        Raises:
            StorageError: the disk has less free space than the lake's reserve; nothing was written.
        """
        self.require_space()
        digest = self._digest(name, inputs)
        unit = UnitWrite(self, digest)
        yield unit
        record = Unit(name=name, digest=digest, files=unit.files)
        with self.files.replace(self._path(f"{digest}{UNIT_RECORD}")) as stream:
            stream.write(unit_to_json(record))
        self._units.append(record)

    def scratch(self) -> PartitionWrite:
        """Return a write for intermediate units, which other units are made from; never commit it.

        A run that resumes after a kill reuses intermediate units like all others. They become garbage when the units
        made from them are committed.
        """
        return replace(self, _units=[], reused=0)

    def remove(self) -> None:
        """Remove intermediate units, once the units made from them are committed.

        On object storage they are left to `visdiv gc`: a run on another machine may have reused them.
        """
        if self.files.is_local:
            for unit in self._units:
                for name in (f"{unit.digest}{UNIT_RECORD}", *(file.name for file in unit.files.values())):
                    self.files.remove(self._path(name))

    def arrange(self, names: Iterable[str]) -> None:
        """Move the units of these names behind the others, in this order; they may have been added in any order."""
        order = {name: index for index, name in enumerate(names)}
        self._units.sort(key=lambda unit: order.get(unit.name, -1))

    def draft(self) -> Manifest:
        """Return a manifest of the units so far, through which they can be read before they are committed."""
        return replace(self.plan, units=tuple(self._units))

    def commit(self, *, inputs: Mapping[str, str] | None = None, **facts: Any) -> Manifest:
        """Make the units the partition's content in one atomic step, and release the partition's lock.

        Args:
            inputs: digests of inputs that were not known when the write began, by name.
            facts: small numbers about the content, kept in the manifest.

        Raises:
            StorageError: the manifest cannot be written, or a file of a unit has been removed meanwhile.
        """
        self._require_units()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = replace(
            self.draft(), inputs={**self.plan.inputs, **(inputs or {})}, facts=facts, materialized_at=now
        )
        try:
            with self.files.replace(self._path(MANIFEST)) as stream:
                stream.write(manifest.to_json())
        finally:
            if self._hold:
                self._hold.release()
        return manifest

    def _size(self, name: str) -> int | None:
        """Return the size of a file of the partition; on object storage from a listing made at the first call."""
        if self.files.is_local:
            return self.files.size(self._path(name))
        entry = self._list().get(name)
        return entry.size_bytes if entry else None

    def _list(self) -> dict[str, Entry]:
        if self._listed is None:
            self._listed = {entry.name: entry for entry in self.files.entries(self._path(""))}
        return self._listed

    def _touch(self, record: str, data: bytes) -> None:
        """Write an old unit's record again on object storage.

        Object storage has no locks: only a unit's age keeps `visdiv gc` on another machine from removing it.
        """
        if self.files.is_local:
            return
        entry = self._list().get(record)
        if entry is None or entry.changed is None or time.time() - entry.changed > YOUNG_SECONDS:
            with self.files.replace(self._path(record)) as stream:
                stream.write(data)

    def _require_units(self) -> None:
        """Refuse to commit a file that was removed since its unit was finished; only a disk has locks against that."""
        if self.files.is_local or not self._units:
            return
        present = {entry.name for entry in self.files.entries(self._path(""))}
        if any(file.name not in present for unit in self._units for file in unit.files.values()):
            raise StorageError(
                f"a file of {self.plan.table} of {self.plan.partition!r} was removed before this run could commit it, "
                "for example by `visdiv gc` on another machine: start this run again"
            )

    def _digest(self, name: str, inputs: Mapping[str, str] | None) -> str:
        plan = self.plan
        return digest_of([plan.table, name, dict(inputs or {}), plan.model_id, plan.settings, plan.code_version])

    def _path(self, name: str) -> str:
        return self.plan.path_of(name)


class UnitWrite:
    """The files of one unit, each written atomically under a name that no other content will ever have."""

    def __init__(self, write: PartitionWrite, digest: str) -> None:
        """Begin a unit; use `PartitionWrite.add` instead."""
        self._write = write
        self._digest = digest
        self.files: dict[str, DataFile] = {}

    def table(self, role: str, batches: pa.Table | Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        """Write rows as Parquet, batch by batch, and return how many there were."""
        rows = 0

        def fill(stream: IO[bytes]) -> int:
            nonlocal rows
            source = batches.to_batches() if isinstance(batches, pa.Table) else batches
            with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
                for batch in source:
                    writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)
                    rows += batch.num_rows
            return rows

        self.file(role, "parquet", fill)
        return rows

    def array(self, role: str, array: np.ndarray) -> None:
        """Write a matrix, or a single column [n], as .npy, which can be memory-mapped."""

        def fill(stream: IO[bytes]) -> int:
            np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
            return len(array)

        self.file(role, "npy", fill)

    def blobs(self, role: str, items: Iterable[bytes]) -> int:
        """Write small files one after the other, to be read with `Lake.blobs`, and return how many there were."""
        ends = np.empty(0, np.int64)

        def fill(stream: IO[bytes]) -> int:
            nonlocal ends
            ends = write_blobs(stream, items)
            return len(ends)

        self.file(role, "blobs", fill)
        self.array(f"{role}{ENDS_SUFFIX}", ends)
        return len(ends)

    def file(self, role: str, extension: str, fill: Callable[[IO[bytes]], int]) -> None:
        """Write a file of any format; `fill` writes to the stream and returns the number of rows."""
        name = f"{self._digest}.{role}.{extension}"
        with self._write.files.replace(self._write._path(name)) as stream:
            counted = Hashing(stream)
            rows = fill(counted)  # type: ignore[arg-type]
        self.files[role] = DataFile(name, rows, counted.size, counted.sha256.hexdigest())
