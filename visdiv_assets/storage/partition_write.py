"""A new state of a partition in the making; see `lake` for what lies where."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.files import Entry
from visdiv_assets.storage.locks import Hold
from visdiv_assets.storage.manifest import MANIFEST, DataFile, Manifest, Unit, digest_of, unit_from_json, unit_to_json
from visdiv_assets.storage.streams import Hashing

if TYPE_CHECKING:
    from visdiv_assets.storage.lake import Lake

#: Age from which a unit on object storage that is used again is made new, below any grace of `visdiv gc`.
YOUNG_SECONDS = 3600.0


@dataclass
class PartitionWrite:
    """A new state of a partition in the making: units are added or found again, then committed together."""

    lake: Lake
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
        """
        digest = self._digest(name, inputs)
        data = self.lake.files.read(self._path(f"{digest}.unit.json"))
        if data is None:
            return False

        try:
            unit = unit_from_json(json.loads(data))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # damaged: the unit is made again
        if any(self._size(file.name) != file.size_bytes for file in unit.files.values()):
            return False
        self._keep_young(f"{digest}.unit.json", data)
        self._units.append(unit)
        self.reused += 1
        return True

    @contextmanager
    def add(self, name: str, inputs: Mapping[str, str] | None = None) -> Iterator[UnitWrite]:
        """Write the files of one unit; it counts as finished only when the block ends without an exception.

        Raises:
            StorageError: the disk has less free than the lake's reserve; nothing was begun.
        """
        self.lake.require_space()
        digest = self._digest(name, inputs)
        unit = UnitWrite(self, digest)
        yield unit
        record = Unit(name=name, digest=digest, files=unit.files)
        with self.lake.files.replace(self._path(f"{digest}.unit.json")) as stream:
            stream.write(unit_to_json(record))
        self._units.append(record)

    def scratch(self) -> PartitionWrite:
        """A place for units that others are made from and that are no content: never commit it.

        They are found again like all units, by a run that goes on with one that was killed, and become garbage when
        what is made from them is committed.
        """
        return replace(self, _units=[], reused=0)

    def arrange(self, names: Iterable[str]) -> None:
        """Bring the units of these names into this order, behind the others: they may have been added in any."""
        place = {name: number for number, name in enumerate(names)}
        self._units.sort(key=lambda unit: place.get(unit.name, -1))

    def draft(self) -> Manifest:
        """The units so far, readable before they are committed."""
        return replace(self.plan, units=tuple(self._units))

    def commit(self, **facts: Any) -> Manifest:
        """Make the units the partition's content, in one atomic step, and let others write the partition.

        Args:
            facts: small numbers about the content, kept in the manifest.

        Raises:
            StorageError: the manifest cannot be written, or what is to be named was removed meanwhile.
        """
        self._require_units()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = replace(self.draft(), facts=facts, materialized_at=now)
        try:
            with self.lake.files.replace(self._path(MANIFEST)) as stream:
                stream.write(manifest.to_json())
        finally:
            if self._hold:
                self._hold.release()
        return manifest

    def _size(self, name: str) -> int | None:
        """The size of a file of the partition, on object storage as it was listed at the first question."""
        if self.lake.files.is_local:
            return self.lake.files.size(self._path(name))
        entry = self._on_store().get(name)
        return entry.size_bytes if entry else None

    def _on_store(self) -> dict[str, Entry]:
        if self._listed is None:
            self._listed = {entry.name: entry for entry in self.lake.files.entries(self._path(""))}
        return self._listed

    def _keep_young(self, record: str, data: bytes) -> None:
        """Without locks, a unit's age alone keeps `visdiv gc` on another machine from removing it: make it new."""
        if self.lake.files.is_local:
            return
        entry = self._on_store().get(record)
        if entry is None or entry.changed is None or time.time() - entry.changed > YOUNG_SECONDS:
            with self.lake.files.replace(self._path(record)) as stream:
                stream.write(data)

    def _require_units(self) -> None:
        """Refuse to name what was removed since it was finished, which no lock prevents on object storage."""
        if self.lake.files.is_local or not self._units:
            return
        there = {entry.name for entry in self.lake.files.entries(self._path(""))}
        if any(file.name not in there for unit in self._units for file in unit.files.values()):
            raise StorageError(
                f"a file of {self.plan.table} of {self.plan.partition!r} was removed while this run was about to name "
                "it, as by `visdiv gc` on another machine: start this run again"
            )

    def _digest(self, name: str, inputs: Mapping[str, str] | None) -> str:
        plan = self.plan
        return digest_of([plan.table, name, dict(inputs or {}), plan.model_id, plan.settings, plan.code_version])

    def _path(self, name: str) -> str:
        return self.plan.path_of(name)


class UnitWrite:
    """The files of one unit, each written atomically under a name that no other content will ever have."""

    def __init__(self, write: PartitionWrite, digest: str) -> None:
        """Begin a unit; use `PartitionWrite.add`."""
        self._write = write
        self._digest = digest
        self.files: dict[str, DataFile] = {}

    def table(self, role: str, batches: pa.Table | Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        """Write rows as Parquet, streamed; returns their number."""
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

    def file(self, role: str, extension: str, fill: Callable[[IO[bytes]], int]) -> None:
        """Write any file; `fill` writes to the stream and returns the number of rows."""
        name = f"{self._digest}.{role}.{extension}"
        with self._write.lake.files.replace(self._write._path(name)) as stream:
            counted = Hashing(stream)
            rows = fill(counted)  # type: ignore[arg-type]
        self.files[role] = DataFile(name, rows, counted.size, counted.sha256.hexdigest())
