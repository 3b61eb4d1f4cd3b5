"""The Parquet lake: partitions of tables, each a folder of immutable files and one manifest.

    <root>/<table>/<escaped partition>/manifest.json           lists the files that count
    <root>/<table>/<escaped partition>/<unit digest>.unit.json  marks a finished unit of work
    <root>/<table>/<escaped partition>/<unit digest>.<role>.<extension>
    <root>/.locks/<table>/<escaped partition>.lock              held while the partition is written, see `locks`

A unit's digest covers everything that its output depends on, so a run that was killed finds the units that it had
finished, and a changed input or setting gives new names. Readers follow manifests only: they see the old state until
the new manifest replaces the old one, in one step. What no manifest names is garbage.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.files import Files, check_length, escape, unescape
from visdiv_assets.storage.locks import LOCKS, Hold, OvertakenError
from visdiv_assets.storage.manifest import (
    DataFile,
    Manifest,
    Unit,
    digest_of,
    manifest_from_json,
    unit_from_json,
    unit_to_json,
)
from visdiv_assets.storage.space import require_space

MANIFEST = "manifest.json"


class Lake:
    """All tables under one root, a local folder or a URI that `pyarrow.fs` knows."""

    def __init__(self, root: str | Path, *, reserve_bytes: int = 0) -> None:
        """Open a lake; the root need not exist yet.

        Args:
            root: a local folder, or a URI.
            reserve_bytes: what stays free on its disk: no unit is begun where less is free.
        """
        self.files = Files(root)
        self._reserve_bytes = reserve_bytes
        self._is_listed: Callable[[str, str], bool] = lambda table, partition: True

    def tables(self) -> list[str]:
        """Names of the tables, sorted."""
        return [folder for folder in self.files.folders("") if folder != LOCKS]

    def only(self, is_listed: Callable[[str, str], bool]) -> Lake:
        """The same lake, of which `partitions` lists just those that a function of table and partition lets through."""
        part = copy(self)
        part._is_listed = is_listed
        return part

    def partitions(self, table: str) -> list[str]:
        """Names of the partitions of a table that have a manifest, sorted."""
        names = (name for folder in self.files.folders(table) if self._is_listed(table, name := unescape(folder)))
        return sorted(name for name in names if self.files.size(self._path(table, name, MANIFEST)) is not None)

    def manifest(self, table: str, partition: str) -> Manifest | None:
        """The manifest of a partition, or None if it was never materialised.

        Raises:
            VisdivError: the manifest is not one that this program wrote.
        """
        path = self._path(table, partition, MANIFEST)
        data = self.files.read(path)
        if data is None:
            return None
        try:
            return manifest_from_json(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VisdivError(
                f"{self.files.full_path(path)} is not a manifest of this program ({error}): remove it and materialise "
                f"{table} of {partition} again"
            ) from error

    def require(self, table: str, partition: str) -> Manifest:
        """The manifest of a partition.

        Raises:
            VisdivError: it was never materialised.
        """
        manifest = self.manifest(table, partition)
        if manifest is None:
            raise VisdivError(f"{table} of {partition!r} is not materialised: run `visdiv run {partition!r}` first")
        return manifest

    def read(
        self, manifest: Manifest, role: str = "rows", columns: list[str] | None = None, where: Any = None
    ) -> pa.Table:
        """All rows of one role of a partition, in order, as an Arrow table."""
        return self.dataset(manifest, role).to_table(columns=columns, filter=where)

    def dataset(self, manifest: Manifest, role: str = "rows") -> pads.Dataset:
        """One role of a partition as a lazy dataset, for streaming.

        Raises:
            VisdivError: the partition has no file of that role.
        """
        paths = [self._full(manifest, file) for file in manifest.files(role)]
        if not paths:
            raise VisdivError(f"{manifest.table} of {manifest.partition!r} has no {role}")
        return pads.dataset(paths, format="parquet", filesystem=self.files.filesystem)

    def array(self, manifest: Manifest, role: str) -> StackedArray:
        """The matrices of one role, stacked by rows and memory-mapped where they lie on a disk."""
        return StackedArray([self._load_array(self._full(manifest, file)) for file in manifest.files(role)])

    def column(self, manifest: Manifest, role: str) -> np.ndarray:
        """The arrays [n_i] of one role, one after the other, in memory; float32 [0] if the partition has none."""
        parts = [self._load_array(self._full(manifest, file)) for file in manifest.files(role)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def open_file(self, manifest: Manifest, role: str) -> pa.NativeFile:
        """A stream of the single file of a role."""
        (file,) = manifest.files(role)
        return self.files.filesystem.open_input_file(self._full(manifest, file))

    def write(
        self,
        table: str,
        partition: str,
        *,
        code_version: str,
        inputs: Mapping[str, str] | None = None,
        model_id: str | None = None,
        settings: Mapping[str, Any] | None = None,
        source_revision: str | None = None,
        run_id: str = "",
    ) -> PartitionWrite:
        """Begin a new state of a partition; nothing is visible before its `commit`.

        On a disk it waits for other processes that are writing the partition, and keeps others waiting until the
        `commit`, or until nobody has what it returns any more.

        Raises:
            VisdivError: the partition's name is too long, or the lake cannot be written.
            OvertakenError: another process wrote the partition from other inputs meanwhile.
        """
        check_length(partition)
        plan = Manifest(
            table=table,
            partition=partition,
            units=(),
            inputs=dict(inputs or {}),
            model_id=model_id,
            settings=dict(settings or {}),
            code_version=code_version,
            source_revision=source_revision,
            run_id=run_id,
        )
        return PartitionWrite(self, plan, self._hold(plan))

    def hold(self, table: str, partition: str, what: str) -> Hold | None:
        """Wait until no other process writes a partition, or what a name stands for; None on object storage."""
        if not self.files.is_local:
            return None
        return Hold(self.lock_path(table, partition), what)

    def lock_path(self, table: str, partition: str) -> Path:
        """The file whose lock whoever writes a partition holds; only on a disk."""
        return Path(self.files.full_path(f"{LOCKS}/{table}/{escape(partition)}.lock"))

    def _hold(self, plan: Manifest) -> Hold | None:
        held = self.hold(plan.table, plan.partition, f"{plan.table} of {plan.partition!r}")
        if held is None:
            return None
        if held.first:
            self.files.remove_temporary(self._path(plan.table, plan.partition, ""))
        present = self.manifest(plan.table, plan.partition) if held.waited else None
        if present and present.inputs != plan.inputs:
            held.release()
            raise OvertakenError(
                f"another run has written {plan.table} of {plan.partition!r} from other inputs while this one waited: "
                "start this run again"
            )
        return held

    def require_space(self) -> None:
        """Refuse to go on where the disk has less free than the reserve; object storage has no such limit.

        Raises:
            VisdivError: less is free.
        """
        if self.files.is_local:
            require_space(Path(self.files.root), self._reserve_bytes)

    def _load_array(self, full_path: str) -> np.ndarray:
        if self.files.is_local:
            mapped: np.ndarray = np.load(full_path, mmap_mode="r", allow_pickle=False)
            return mapped
        with self.files.filesystem.open_input_stream(full_path) as stream:
            read: np.ndarray = np.load(io.BytesIO(stream.read()), allow_pickle=False)
            return read

    def _full(self, manifest: Manifest, file: DataFile) -> str:
        path = self._path(manifest.table, manifest.partition, file.name)
        if self.files.size(path) != file.size_bytes:
            raise VisdivError(
                f"{self.files.full_path(path)} is missing or damaged: materialise {manifest.table} of "
                f"{manifest.partition!r} again"
            )
        return self.files.full_path(path)

    @staticmethod
    def _path(table: str, partition: str, name: str) -> str:
        return f"{table}/{escape(partition)}/{name}"


@dataclass
class PartitionWrite:
    """A new state of a partition in the making: units are added or found again, then committed together."""

    lake: Lake
    plan: Manifest
    _hold: Hold | None
    _units: list[Unit] = field(default_factory=list)
    reused: int = 0

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
        if any(self.lake.files.size(self._path(file.name)) != file.size_bytes for file in unit.files.values()):
            return False
        self._units.append(unit)
        self.reused += 1
        return True

    @contextmanager
    def add(self, name: str, inputs: Mapping[str, str] | None = None) -> Iterator[UnitWrite]:
        """Write the files of one unit; it counts as finished only when the block ends without an exception.

        Raises:
            VisdivError: the disk has less free than the lake's reserve; nothing was begun.
        """
        self.lake.require_space()
        digest = self._digest(name, inputs)
        unit = UnitWrite(self, digest)
        yield unit
        record = Unit(name=name, digest=digest, files=unit.files)
        with self.lake.files.replace(self._path(f"{digest}.unit.json")) as stream:
            stream.write(unit_to_json(record))
        self._units.append(record)

    def draft(self) -> Manifest:
        """The units so far, readable before they are committed."""
        return replace(self.plan, units=tuple(self._units))

    def commit(self, **facts: Any) -> Manifest:
        """Make the units the partition's content, in one atomic step, and let others write the partition.

        Args:
            facts: small numbers about the content, kept in the manifest.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = replace(self.draft(), facts=facts, materialized_at=now)
        try:
            with self.lake.files.replace(self._path(MANIFEST)) as stream:
                stream.write(manifest.to_json())
        finally:
            if self._hold:
                self._hold.release()
        return manifest

    def _digest(self, name: str, inputs: Mapping[str, str] | None) -> str:
        plan = self.plan
        return digest_of([plan.table, name, dict(inputs or {}), plan.model_id, plan.settings, plan.code_version])

    def _path(self, name: str) -> str:
        return Lake._path(self.plan.table, self.plan.partition, name)


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
            counted = _Hashing(stream)
            rows = fill(counted)  # type: ignore[arg-type]
        self.files[role] = DataFile(name, rows, counted.size, counted.sha256.hexdigest())


class _Hashing(io.RawIOBase):
    """A write-only stream that passes bytes on and hashes them on the way."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._stream.write(view)
        self.sha256.update(view)
        self.size += len(view)
        return len(view)
