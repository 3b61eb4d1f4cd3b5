"""Datasets on the Hugging Face Hub, read like a folder of Parquet files."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError, VisdivError
from visdiv_assets.sources import fetching, files, parquet, parquet_files
from visdiv_assets.sources.about import README, readme_license
from visdiv_assets.sources.batching import check_batch_rows
from visdiv_assets.sources.catalog import Benchmark
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.hub.client import HubClient, HubFile, parse_uri
from visdiv_assets.sources.hub.errors import MissingDatasetError, MissingRevisionError
from visdiv_assets.sources.hub.range_file import RangeFile
from visdiv_assets.sources.hub.row_counts import RowCounts
from visdiv_assets.sources.interface import ColumnsTaken, Kind, Shard, StoredShard
from visdiv_assets.sources.layout import benchmark_files, choose_split, is_parquet, subsets_of
from visdiv_assets.sources.left_out import SkippedFiles, describe_left_out
from visdiv_assets.sources.parquet_folder import no_split
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.storage.file_cache import FileCache
from visdiv_assets.storage.manifest import digest_of

logger = logging.getLogger(__name__)

#: The branch with the Hub's conversion of a dataset to Parquet.
CONVERTED = "refs/convert/parquet"


class HubSource:
    """A dataset on the Hub. Implements `interface.Source`.

    Subsets are the dataset's folders of Parquet files (`layout.subsets_of`); benchmarks are other datasets. The commit
    of a revision and its list of files are requested once, when they are first needed, so that everything that one
    source reads is of one commit. A file that is read as a whole is downloaded once to the cache, and its digest is
    compared with the Hub's, while the next file of the subset is downloaded in the background. Single images are read
    with range requests.
    """

    def __init__(
        self,
        uri: str,
        *,
        downloads: Downloads | None = None,
        benchmarks: Sequence[Benchmark] = (),
        client: HubClient | None = None,
        reading: Reading | None = None,
    ) -> None:
        """Open a dataset; nothing is requested.

        Args:
            uri: `hf://datasets/<owner>/<name>`, optionally followed by `@` and a branch, tag or commit.
            downloads: how files are fetched, and where they are cached.
            benchmarks: the benchmarks that the source has.
            client: makes the requests; None: a client for HF_ENDPOINT with HF_TOKEN.
            reading: the split and columns that are read.

        Raises:
            SourceError: the URI does not name a dataset.
        """
        downloads = downloads or Downloads()
        self.uri = uri
        self._dataset, self._revision = parse_uri(uri)
        self._benchmarks = {benchmark.name: benchmark for benchmark in benchmarks}
        self._client = client or HubClient()
        self._reading = reading or Reading()
        self._cache = FileCache(downloads.folder / "files", downloads.max_bytes, downloads.reserve_bytes)
        self._rows = RowCounts(self._client, downloads.folder / "rows", downloads.threads)
        self._max_bytes = downloads.max_bytes
        self._asking = threading.RLock()
        self._listed: dict[tuple[str, str | None], list[HubFile]] = {}
        self._subset_files: dict[str, dict[str, HubFile]] | None = None
        self._benchmark_files: dict[str, dict[str, HubFile]] = {}
        self._fetched_in_ranges: dict[str, int] = defaultdict(int)

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted."""
        return list(self._subsets())

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted. Nothing is requested, so some may not exist on the Hub."""
        return sorted(self._benchmarks)

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the total size of a subset's files, from the list of files."""
        return sum(file.size_bytes for file in self._files(kind, name).values())

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the paths, sizes and contents of the files, from the list of files.

        It is not the commit: a commit that changes only other files does not change it.
        """
        found = self._files(kind, name).values()
        return self._reading.mark(digest_of(sorted([file.path, file.size_bytes, file.oid] for file in found)))

    def license(self) -> str | None:
        """Return the license in the metadata of the dataset's README.md, at the commit that is read."""
        for file in self._list(self._dataset, self._revision):
            if file.path == README:
                with self._cached(file) as path:
                    return readme_license(path)
        return None

    def left_out(self) -> list[SkippedFiles]:
        """Return the Parquet files that are not read; see `interface.Source.left_out`."""
        taken = {file.path for name in self._subsets() for file in self._chosen(name).values()}
        listed = self._list(self._dataset, self._revision)
        return describe_left_out(sorted(file.path for file in listed if is_parquet(file.path)), taken)

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return which columns of the first file are read; see `interface.Source.columns_taken`."""
        file = next(iter(self._files(kind, name).values()))
        with self._open_cached_or_remote(file) as opened:
            return parquet.columns_taken(opened, kind, self._reading, None)

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per file, in the order of the paths. Only the footer of each file is read, once.

        Raises:
            SourceError: there is no such subset, or a file's footer cannot be read.
        """
        found = self._files(kind, name)
        counts = self._rows.of(list(found.values()))
        return [
            Shard(path, rows, file.size_bytes, self._fingerprint(file))
            for (path, file), rows in zip(found.items(), counts, strict=True)
        ]

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with the SHA-256 of each file: the Hub's, or computed for a file outside LFS."""
        return [
            (shard, known.get(shard.fingerprint) or self._reading.mark(self._digest(self._current(kind, name, shard))))
            for shard in self.shards(kind, name)
        ]

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file in order; see `interface.Source.batches`."""
        schema_of(columns)
        check_batch_rows(batch_rows)
        return self._batches(kind, name, shard, columns, batch_rows)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return all columns of a file, unchanged; see `interface.Source.stored`."""
        file = self._current(kind, name, shard)
        with self._on_disk(file) as path:
            found = parquet.stored(parquet_files.NamedFile(str(file), path), shard.rows)
        return StoredShard(found.schema, found.compression, self._stored(kind, name, shard))

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        found = list(self._files(kind, name).values())

        def read_images(index: int, rows: Collection[int]) -> Iterator[tuple[int, pa.Array]]:
            with self._open_cached_or_remote(found[index]) as file:
                yield from parquet.images(file, kind, rows, self._reading, None)

        return fetching.fetch(self.uri, kind, name, self._rows.of(found), read_images, positions)

    def _digest(self, file: HubFile) -> str:
        if file.sha256:
            return file.sha256
        with self._on_disk(file) as path:
            return files.content_digest(path)

    def _batches(
        self, kind: Kind, name: str, shard: Shard, columns: Sequence[str], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        file = self._current(kind, name, shard)
        with self._on_disk(file) as path:
            self._fetch_next(kind, name, shard)
            named = parquet_files.NamedFile(str(file), path)
            yield from parquet.read(named, kind, columns, batch_rows, shard.rows, self._reading, None)

    def _stored(self, kind: Kind, name: str, shard: Shard) -> Iterator[pa.RecordBatch]:
        file = self._current(kind, name, shard)
        with self._on_disk(file) as path:
            self._fetch_next(kind, name, shard)
            yield from parquet.stored(parquet_files.NamedFile(str(file), path), shard.rows).batches

    @contextmanager
    def _on_disk(self, file: HubFile) -> Iterator[Path]:
        """Yield the path of a Parquet file in the cache, after a download if it is missing; it is kept while in use."""
        known = self._cache.holds(file.key)
        with self._cached(file) as path:
            if not known:
                self._rows.correct(file, path)
            yield path

    def _cached(self, file: HubFile) -> AbstractContextManager[Path]:
        """Return a context in which a file of any kind is in the cache."""
        return self._cache.file(file.key, file.size_bytes, lambda part: self._client.download(file, part))

    @contextmanager
    def _open_cached_or_remote(self, file: HubFile) -> Iterator[parquet_files.NamedFile]:
        """Yield a cached file, else a remote one; download it once as many bytes were read as it holds."""
        if self._cache.holds(file.key) or self._fetched_in_ranges[file.key] >= file.size_bytes:
            with self._on_disk(file) as path:
                yield parquet_files.NamedFile(str(file), path)
            return
        remote = RangeFile(self._client, file)
        try:
            yield parquet_files.NamedFile(str(file), remote)
        finally:
            self._fetched_in_ranges[file.key] += remote.fetched_bytes

    def _fetch_next(self, kind: Kind, name: str, shard: Shard) -> None:
        """Start to fetch the file after a shard in the background, if the cache has room for both."""
        found = self._files(kind, name)
        paths = list(found)
        after = paths.index(shard.name) + 1
        if after == len(paths):
            return
        file = found[paths[after]]
        if self._cache.holds(file.key) or shard.size_bytes + file.size_bytes > self._max_bytes:
            return
        # A daemon, so that the program does not wait for it at its end; the next run resumes a partial download.
        threading.Thread(target=self._fetch_ahead, args=(file,), name="visdiv-fetch", daemon=True).start()

    def _fetch_ahead(self, file: HubFile) -> None:
        try:
            with self._on_disk(file):
                pass
        except (VisdivError, OSError) as error:
            # The reader of the file tries again, and reports the error.
            logger.info("%s could not be downloaded ahead: %s", file, error)

    def _subsets(self) -> dict[str, dict[str, HubFile]]:
        with self._asking:
            if self._subset_files is None:
                listed = self._list(self._dataset, self._revision)
                found = subsets_of(self._dataset.rpartition("/")[2], {file.path: file for file in listed})
                if not found:
                    raise SourceError(f"{self.uri} holds no .parquet file: choose a dataset with Parquet files")
                self._subset_files = found
            return self._subset_files

    def _chosen(self, subset: str) -> dict[str, HubFile]:
        """Return the files of the split of a subset that is read."""
        return choose_split(self._subsets()[subset], self._reading.split)

    def _files(self, kind: Kind, name: str) -> dict[str, HubFile]:
        """Return the files of a subset or benchmark by the name of the shard, in order."""
        names = self._subsets() if kind is Kind.SUBSET else self._benchmarks
        if name not in names:
            raise files.no_such(self.uri, kind, name, sorted(names))
        if kind is Kind.SUBSET:
            if not (chosen := self._chosen(name)):
                raise no_split(f"{name} in {self.uri}", self._reading.split, self._subsets()[name])
            return chosen
        with self._asking:
            if name not in self._benchmark_files:
                self._benchmark_files[name] = self._find_benchmark(self._benchmarks[name])
            return self._benchmark_files[name]

    def _find_benchmark(self, benchmark: Benchmark) -> dict[str, HubFile]:
        """Return the files of a benchmark: the dataset's own, else those of the Hub's conversion."""
        dataset, listed = self._resolve_alias(benchmark)
        if found := benchmark_files(_by_path(listed), benchmark.config, benchmark.split):
            return found
        try:
            converted = self._list(dataset, CONVERTED)
        except MissingRevisionError:
            converted = []
        if found := benchmark_files(_by_path(converted), benchmark.config, benchmark.split):
            return found
        raise SourceError(
            f"benchmark {benchmark.name!r}: hf://datasets/{dataset} has no .parquet file of split {benchmark.split!r}"
            f"{f' of config {benchmark.config!r}' if benchmark.config else ''}, nor has its branch {CONVERTED}: "
            f"correct its line in VISDIV_BENCHMARK_CATALOG"
        )

    def _resolve_alias(self, benchmark: Benchmark) -> tuple[str, list[HubFile]]:
        """Return the name under which the Hub has a benchmark's dataset, its own or its alias, and its files."""
        try:
            return benchmark.hub_id, self._list(benchmark.hub_id, None)
        except MissingDatasetError:
            if benchmark.alias is None:
                raise
        try:
            return benchmark.alias, self._list(benchmark.alias, None)
        except MissingDatasetError:
            raise MissingDatasetError(
                f"benchmark {benchmark.name!r}: neither hf://datasets/{benchmark.hub_id} nor its alias "
                f"hf://datasets/{benchmark.alias} is on the Hub, or they are private: correct its line in "
                f"VISDIV_BENCHMARK_CATALOG, or set HF_TOKEN"
            ) from None

    def _list(self, dataset: str, revision: str | None) -> list[HubFile]:
        """Return all files of a dataset at the commit that a revision had when it was first requested."""
        with self._asking:
            if (dataset, revision) not in self._listed:
                commit = self._client.commit(dataset, revision)
                self._listed[dataset, revision] = self._client.files(dataset, commit)
            return self._listed[dataset, revision]

    def _current(self, kind: Kind, name: str, shard: Shard) -> HubFile:
        """Return the shard's file. Raises SourceError if it differs from what `shards` described."""
        file = self._files(kind, name).get(shard.name)
        if file is None or self._fingerprint(file) != shard.fingerprint:
            raise files.changed(f"{shard.name} of {kind.value}/{name} in {self.uri}")
        return file

    def _fingerprint(self, file: HubFile) -> str:
        return self._reading.mark(digest_of([file.path, file.size_bytes, file.oid]))


def _by_path(listed: Sequence[HubFile]) -> dict[str, HubFile]:
    return {file.path: file for file in listed}
