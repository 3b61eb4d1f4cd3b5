"""The Parquet lake: partitions of tables, each a folder of immutable files and one manifest.

    <root>/<table>/<escaped partition>/manifest.json           lists the files that count
    <root>/<table>/<escaped partition>/<unit digest>.unit.json  marks a finished unit of work
    <root>/<table>/<escaped partition>/<unit digest>.<role>.<extension>
    <root>/.locks/<table>/<escaped partition>.lock              held while the partition is written, see `locks`

A unit's digest covers everything that its output depends on: a run that resumes after a kill finds the units that are
finished, and a changed input or setting gives new names. Readers follow manifests only: they see the old state until
the new manifest replaces the old one in one step. Files that no manifest names are garbage. The full description is in
docs/explanation/lake-format.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from visdiv_assets.errors import NotMaterializedError, StorageError
from visdiv_assets.storage.array_cache import ArrayCache
from visdiv_assets.storage.arrays import StackedArray
from visdiv_assets.storage.blobs import ENDS_SUFFIX, BlobFile, StoredBlobs, damaged
from visdiv_assets.storage.disk_space import require_space
from visdiv_assets.storage.error_messages import is_of_system, read_error
from visdiv_assets.storage.files import Files, check_length, escape, unescape
from visdiv_assets.storage.format_versions import product_version
from visdiv_assets.storage.integrity import DamagedFileError, content_matches
from visdiv_assets.storage.locks import LOCKS, ConcurrentWriteError, Hold
from visdiv_assets.storage.manifest import (
    MANIFEST,
    DamagedManifestError,
    DataFile,
    Manifest,
    manifest_from_json,
    path_in_lake,
)
from visdiv_assets.storage.partition_write import PartitionWrite as PartitionWrite
from visdiv_assets.storage.snapshot_files import SnapshotFiles

if TYPE_CHECKING:
    import pyarrow.dataset as pads

#: Number of files from which one listing of a partition is cheaper on object storage than a request for each size.
LISTED_FROM = 3


class Lake:
    """All tables under one root, a local folder or a URI; see `uris`.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from visdiv_assets import Lake
        >>> with TemporaryDirectory() as folder:
        ...     lake = Lake(folder)
        ...     lake.tables(), lake.partitions("subset_images")
        ([], [])
    """

    def __init__(self, root: str | Path, *, reserve_bytes: int = 0, cache: ArrayCache | None = None) -> None:
        """Open a lake; the root need not exist yet.

        Args:
            root: a local folder, or a URI.
            reserve_bytes: bytes to leave free on its disk, or on that of the cache; no unit is begun if less is free.
            cache: local copies of matrices on object storage, for memory-mapping; without it they are read whole.

        Raises:
            StorageError: the URI is not understood.
        """
        self.files = Files(root)
        self._reserve_bytes = reserve_bytes
        self._cache = None if self.files.is_local else cache
        self._is_listed: Callable[[str, str], bool] = lambda table, partition: True
        self._compared: set[str] | None = None

    def tables(self) -> list[str]:
        """Return the names of the tables, sorted."""
        return [folder for folder in self.files.folders("") if folder != LOCKS]

    def snapshot(self, *tables: str) -> Lake:
        """Return the lake as it is now, for reading; on object storage all manifests are read at once, in parallel.

        Args:
            tables: the tables to read; all if none is given.
        """
        if self.files.is_local:
            return self
        now = copy(self)
        now.files = SnapshotFiles(self.files, tables or self.tables(), MANIFEST)
        return now

    def filtered(self, is_listed: Callable[[str, str], bool]) -> Lake:
        """Return the same lake with `partitions` limited to those for which `is_listed(table, partition)` is true."""
        part = copy(self)
        part._is_listed = is_listed
        return part

    def checked(self) -> Lake:
        """Return the same lake, which compares the checksum of each file before it is read for the first time."""
        now = copy(self)
        now._compared = set()
        return now

    def partitions(self, table: str) -> list[str]:
        """Return the names of the partitions of a table that have a manifest, sorted."""
        names = map(unescape, self.files.folders_with(table, MANIFEST))
        return sorted(name for name in names if self._is_listed(table, name))

    def manifest(self, table: str, partition: str) -> Manifest | None:
        """Return the manifest of a partition, or None if it was never materialized.

        Raises:
            NewerFormatError: a newer release wrote it.
            DamagedManifestError: it is damaged, or not a manifest.
        """
        path = path_in_lake(table, partition, MANIFEST)
        data = self.files.read(path)
        if data is None:
            return None
        try:
            return manifest_from_json(data, self.files.display(path))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedManifestError(
                f"{self.files.display(path)} is not a manifest of this program ({error}): remove it and materialize "
                f"{table} of {partition!r} again"
            ) from error

    def earlier(self, table: str, partition: str) -> Manifest | None:
        """Return the manifest of a partition that is about to be written again.

        Returns:
            the manifest; None if there is none, or if it or a file that it names is damaged.

        Raises:
            NewerFormatError: a newer release wrote it.
        """
        try:
            manifest = self.manifest(table, partition)
        except DamagedManifestError:
            return None
        if manifest is None:
            return None
        present = {entry.name: entry.size_bytes for entry in self.files.entries(path_in_lake(table, partition))}
        files = [file for unit in manifest.units for file in unit.files.values()]
        return manifest if all(present.get(file.name) == file.size_bytes for file in files) else None

    def require(self, table: str, partition: str) -> Manifest:
        """Return the manifest of a partition.

        Raises:
            NotMaterializedError: it was never materialized.
        """
        manifest = self.manifest(table, partition)
        if manifest is None:
            raise NotMaterializedError(table, partition)
        return manifest

    def read(
        self, manifest: Manifest, role: str = "rows", columns: list[str] | None = None, where: Any = None
    ) -> pa.Table:
        """Return all rows of one role of a partition, in order.

        Args:
            manifest: the partition.
            role: the role.
            columns: names of the columns to read; all if None.
            where: a `pyarrow.dataset` filter expression.

        Raises:
            StorageError: the partition has no file of that role, or one is missing or truncated.
            DamagedFileError: a file has other bytes than those that were written.
        """
        try:
            return self.dataset(manifest, role).to_table(columns=columns, filter=where)
        except (OSError, pa.ArrowException) as error:
            if not is_of_system(error):
                for file in manifest.files(role):
                    if not content_matches(self.files, manifest.path_of(file.name), file):
                        raise self._damaged(manifest, file) from error
            if not isinstance(error, OSError):
                raise
            raise read_error(self.files.display(path_in_lake(manifest.table, manifest.partition)), error) from error

    def dataset(self, manifest: Manifest, role: str = "rows") -> pads.Dataset:
        """Return one role of a partition as a lazy dataset, for streaming.

        Raises:
            StorageError: the partition has no file of that role, or one is missing or damaged.
        """
        # Its module imports pandas: half a second that loading the definitions should not cost.
        import pyarrow.dataset as pads

        files = manifest.files(role)
        if not files:
            raise StorageError(f"{manifest.table} of {manifest.partition!r} has no {role}")
        paths, filesystem = self._paths(manifest, files), self.files.filesystem
        if self.files.is_local:
            return pads.dataset(paths, format="parquet", filesystem=filesystem)
        # With the size known, the footer of a file is read at once, and only once.
        parquet = pads.ParquetFileFormat()
        fragments = [
            parquet.make_fragment(path, filesystem, file_size=file.size_bytes)
            for path, file in zip(paths, files, strict=True)
        ]
        return pads.FileSystemDataset(fragments, fragments[0].physical_schema, parquet, filesystem)

    def array(self, manifest: Manifest, role: str) -> StackedArray:
        """Return the matrices of one role, stacked by rows; memory-mapped if they, or copies of them, are on a disk."""
        return StackedArray(self._load_arrays(manifest, role))

    def column(self, manifest: Manifest, role: str) -> np.ndarray:
        """Return the arrays [n_i] of one role, concatenated in memory; float32 [0] if the partition has none."""
        parts = self._load_arrays(manifest, role)
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def blobs(self, manifest: Manifest, role: str) -> StoredBlobs:
        """Return the blobs of one role, read on access; rows count over all units in order.

        Raises:
            StorageError: a file is missing or damaged.
        """
        files, ends = manifest.files(role), self._load_arrays(manifest, f"{role}{ENDS_SUFFIX}")
        self._paths(manifest, files)
        parts = []
        for file, of_file in zip(files, ends, strict=True):
            path = manifest.path_of(file.name)
            if file.size_bytes != (of_file[-1] if len(of_file) else 0):
                raise damaged(self.files, path)
            parts.append(BlobFile(path, of_file))
        return StoredBlobs(self.files, parts)

    def open_file(self, manifest: Manifest, role: str) -> pa.NativeFile:
        """Open the only file of a role."""
        (path,) = self._paths(manifest, manifest.files(role))
        return self.files.filesystem.open_input_file(path)

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
        """Begin a new state of a partition; it becomes visible with its `commit`.

        On a disk, wait for other processes that are writing the partition, then hold its lock until the `commit`, or
        until the returned object is garbage-collected.

        Args:
            table: the table's name.
            partition: the partition's name, not escaped.
            code_version: version of the code that makes it.
            inputs: digests of what it is made from, by name.
            model_id: the model whose vectors it holds or is derived from.
            settings: the settings that its content depends on.
            source_revision: version of the subset's rows.
            run_id: the Dagster run that writes it.

        Raises:
            StorageError: the partition's name is too long, or the lake cannot be written.
            NewerFormatError: a newer release wrote the partition's present state, which stays.
            ConcurrentWriteError: another process wrote the partition from other inputs meanwhile.
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
            product_version=product_version(),
        )
        return PartitionWrite(self.files, self.require_space, plan, self._hold(plan))

    def hold(self, table: str, partition: str, what: str) -> Hold | None:
        """Wait for the lock of a partition, or of another thing with such a name, and hold it; None on object storage.

        Args:
            table: the table's name.
            partition: the partition's name.
            what: what is written, for the log.
        """
        if not self.files.is_local:
            return None
        return Hold(self.lock_path(table, partition), what)

    def lock_path(self, table: str, partition: str) -> Path:
        """Return the path of the file that a writer of the partition locks; only on a disk."""
        return Path(self.files.full_path(f"{LOCKS}/{table}/{escape(partition)}.lock"))

    def _hold(self, plan: Manifest) -> Hold | None:
        """Hold a partition's lock, unless what is there must not be replaced."""
        held = self.hold(plan.table, plan.partition, f"{plan.table} of {plan.partition!r}")
        try:
            if held and held.first:
                self.files.remove_temporary(path_in_lake(plan.table, plan.partition))
            self._require_replaceable(plan, waited=held is not None and held.waited)
        except BaseException:
            if held:
                held.release()
            raise
        return held

    def _require_replaceable(self, plan: Manifest, *, waited: bool) -> None:
        if not waited:
            with suppress(DamagedManifestError):
                self.manifest(plan.table, plan.partition)  # raises NewerFormatError
            return
        present = self.earlier(plan.table, plan.partition)
        if present and present.inputs != plan.inputs:
            raise ConcurrentWriteError(
                f"another run has written {plan.table} of {plan.partition!r} from other inputs while this one waited: "
                "start this run again"
            )

    def require_space(self) -> None:
        """Check the free space of the lake's disk, or, on object storage, of the cache's disk.

        Raises:
            StorageError: less is free than the reserve.
        """
        if self.files.is_local:
            require_space(Path(self.files.root), self._reserve_bytes)
        elif self._cache:
            require_space(self._cache.folder, self._reserve_bytes)

    def _load_arrays(self, manifest: Manifest, role: str) -> list[np.ndarray]:
        files = manifest.files(role)
        if self._cache:
            return [self._cache.array(self.files, manifest.path_of(file.name), file) for file in files]
        paths = self._paths(manifest, files)
        return [self._load_array(manifest, file, path) for file, path in zip(files, paths, strict=True)]

    def _load_array(self, manifest: Manifest, file: DataFile, full_path: str) -> np.ndarray:
        try:
            return self._open_array(full_path)
        except (ValueError, SyntaxError, EOFError) as error:
            # Whatever numpy makes of a damaged header.
            raise self._damaged(manifest, file) from error

    def _open_array(self, full_path: str) -> np.ndarray:
        if self.files.is_local:
            mapped: np.ndarray = np.load(full_path, mmap_mode="r", allow_pickle=False)
            return mapped
        with self.files.filesystem.open_input_stream(full_path) as stream:
            read: np.ndarray = np.load(io.BytesIO(stream.read()), allow_pickle=False)
            return read

    def _paths(self, manifest: Manifest, files: list[DataFile]) -> list[str]:
        """Return the full paths of files of a partition, after checking their sizes.

        Raises:
            StorageError: a file is missing or has another size.
            DamagedFileError: this lake is `checked`, and a file has other bytes than those that were written.
        """
        if self.files.is_local or len(files) < LISTED_FROM:
            sizes = {file.name: self.files.size(manifest.path_of(file.name)) for file in files}
        else:
            listed = self.files.entries(path_in_lake(manifest.table, manifest.partition))
            sizes = {entry.name: entry.size_bytes for entry in listed}
        for file in files:
            if sizes.get(file.name) != file.size_bytes:
                raise StorageError(
                    f"{self.files.display(manifest.path_of(file.name))} is missing or damaged: materialize "
                    f"{manifest.table} of {manifest.partition!r} again"
                )
            self._compare(manifest, file)
        return [self.files.full_path(manifest.path_of(file.name)) for file in files]

    def _compare(self, manifest: Manifest, file: DataFile) -> None:
        path = manifest.path_of(file.name)
        if self._compared is None or path in self._compared:
            return
        if not content_matches(self.files, path, file):
            raise self._damaged(manifest, file)
        self._compared.add(path)

    def _damaged(self, manifest: Manifest, file: DataFile) -> DamagedFileError:
        path = self.files.display(manifest.path_of(file.name))
        return DamagedFileError(
            f"{path} has other bytes than those that were written: remove it and materialize {manifest.table} of "
            f"{manifest.partition!r} again"
        )


def lake_at(root: str, *, reserve_bytes: int = 0, vectors_folder: str = "", cache_bytes: int = 0) -> Lake:
    """Open a lake; on object storage, keep local copies of its vectors.

    Args:
        root: a local folder, or a URI.
        reserve_bytes: bytes to leave free on the local disk.
        vectors_folder: folder of the copies; empty to keep none.
        cache_bytes: limit on the total size of the copies.

    Raises:
        StorageError: the URI is not understood.
    """
    cache = ArrayCache(Path(vectors_folder), cache_bytes, reserve_bytes) if vectors_folder else None
    return Lake(root, reserve_bytes=reserve_bytes, cache=cache)
