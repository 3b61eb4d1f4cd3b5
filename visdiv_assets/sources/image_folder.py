"""A folder of image files, with one row per image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import files
from visdiv_assets.sources.batching import BATCH_BYTES, check_batch_rows
from visdiv_assets.sources.image_columns import IMAGES
from visdiv_assets.sources.interface import Kind, Shard, StoredShard
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.sources.strings import strings

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".ppm")

SHARD_FILES = 1000

#: The columns of an export of images, and the maximum rows of its batches.
STORED_COLUMNS = ("images", "texts", "source")
STORED_ROWS = 64

_MAX_FILE_BYTES = (1 << 31) - 1  # what a binary column can address


class ImageFolderSource:
    """Images under a folder, one row per image. Implements `interface.Source`.

    A subfolder with images at any depth is a subset of that name, except `benchmarks`: each of its subfolders is a
    benchmark. If there is a folder `subsets`, its subfolders are the subsets. Images directly in the folder are a
    subset named after the folder. Rows are in the order of the images' posix paths relative to the subset's folder, as
    plain text; that path is the image's `path`. Texts, source and ratings are null, and there are no strings. A shard
    is 1000 files. `shards` lists the files; the other methods use the last list.
    """

    def __init__(self, folder: str | Path) -> None:
        self.uri = str(folder)
        self._root = Path(folder).absolute()
        self._listed: dict[tuple[Kind, str], list[files.FoundFile]] = {}

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted.

        Raises:
            SourceError: the folder and a subfolder of the same name both hold images, or images lie where their set
                would have no name.
        """
        if (self._root / Kind.SUBSET.value).is_dir():
            if files.files_in(self._root, SUFFIXES):
                raise SourceError(
                    f"{self.uri} holds images beside its folder 'subsets': move them into subsets/<name>/"
                )
            return self._sets(Kind.SUBSET)
        not_subsets = Kind.BENCHMARK.value if self.benchmarks() else None
        names = [name for name in _folders_with_images(self._root) if name != not_subsets]
        if files.files_in(self._root, SUFFIXES):
            if self._own_name() in names:
                raise SourceError(
                    f"{self.uri} holds images, and so does its subfolder {self._own_name()!r} "
                    f"of the same name: rename the subfolder, or move the images into another"
                )
            names.append(self._own_name())
        return sorted(names)

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted.

        Raises:
            SourceError: images lie directly in `benchmarks`, beside folders with images.
        """
        return self._sets(Kind.BENCHMARK)

    def size_bytes(self, kind: Kind, name: str) -> int:
        """Return the total size of a set's files, without opening them."""
        return sum(file.size_bytes for file in self._find(kind, name))

    def observed_version(self, kind: Kind, name: str) -> str:
        """Return a digest of the files' relative paths, sizes and times of change."""
        return files.observed_version(self._find(kind, name))

    def shards(self, kind: Kind, name: str) -> list[Shard]:
        """Return one shard per 1000 files.

        Raises:
            SourceError: there are no images.
        """
        found = self._find(kind, name)
        self._listed[kind, name] = found
        chunks = [found[start : start + SHARD_FILES] for start in range(0, len(found), SHARD_FILES)]
        return [
            Shard(
                f"images-{index:05d}-of-{len(chunks):05d}",
                len(chunk),
                sum(file.size_bytes for file in chunk),
                files.fingerprint(chunk),
            )
            for index, chunk in enumerate(chunks)
        ]

    def digests(self, kind: Kind, name: str, known: Mapping[str, str]) -> list[tuple[Shard, str]]:
        """Return the shards with a SHA-256 of the relative paths and contents of their files."""
        return [
            (shard, known.get(shard.fingerprint) or self._digest(kind, name, shard))
            for shard in self.shards(kind, name)
        ]

    def batches(
        self, kind: Kind, name: str, shard: Shard, *, columns: Sequence[str], batch_rows: int = 64
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a shard in order; see `interface.Source.batches`."""
        schema_of(columns)
        check_batch_rows(batch_rows)
        return _batches(self._files(kind, name, shard), columns, batch_rows)

    def stored(self, kind: Kind, name: str, shard: Shard) -> StoredShard:
        """Return the columns `images`, `texts` and `source`; see `interface.Source.stored`."""
        batches = _batches(self._files(kind, name, shard), STORED_COLUMNS, STORED_ROWS)
        return StoredShard(schema_of(STORED_COLUMNS), "snappy", batches)

    def fetch(self, kind: Kind, name: str, positions: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Return the encoded bytes of single images; see `interface.Source.fetch`."""
        found = self._listed_files(kind, name)
        for row, image_index in positions:
            if not 0 <= row < len(found):
                raise SourceError(f"{kind.value}/{name} in {self.uri} has no row {row}: it has {len(found)} rows")
            if image_index != 0:
                raise SourceError(f"row {row} of {name!r} in {self.uri} has no image {image_index}: it has 1")
        return [_content(found[row]) for row, _ in positions]

    def _digest(self, kind: Kind, name: str, shard: Shard) -> str:
        digest = hashlib.sha256()
        for file in self._files(kind, name, shard):
            digest.update(f"{file.relative}\0{files.content_digest(file.path)}\0".encode())
        return digest.hexdigest()

    def _own_name(self) -> str:
        """Return the folder's name, also if it was given as `.` or ends in `..`."""
        if self._root.name not in ("", ".."):
            return self._root.name
        return self._root.resolve().name or "images"

    def _sets(self, kind: Kind) -> list[str]:
        """Return the subfolders with images of the folder `subsets` or `benchmarks`."""
        folder = self._root / kind.value
        names = _folders_with_images(folder) if folder.is_dir() else []
        if names and files.files_in(folder, SUFFIXES):
            raise SourceError(f"{folder} holds images beside folders with images: move them into {kind.value}/<name>/")
        return names

    def _find(self, kind: Kind, name: str) -> list[files.FoundFile]:
        names = self.subsets() if kind is Kind.SUBSET else self.benchmarks()
        if name not in names:
            raise files.no_such(self.uri, kind, name, names)
        folder = self._root / kind.value
        if kind is Kind.BENCHMARK or folder.is_dir():
            return files.find(folder / name, SUFFIXES)
        if name == self._own_name() and (loose := files.files_in(self._root, SUFFIXES)):
            return [files.look(self._root, file) for file in loose]
        return files.find(self._root / name, SUFFIXES)

    def _listed_files(self, kind: Kind, name: str) -> list[files.FoundFile]:
        if (kind, name) not in self._listed:
            self.shards(kind, name)
        return self._listed[kind, name]

    def _files(self, kind: Kind, name: str, shard: Shard) -> list[files.FoundFile]:
        """Return the shard's files. Raises SourceError if the last list differs from what `shards` described."""
        start = int(shard.name.split("-")[1]) * SHARD_FILES
        found = self._listed_files(kind, name)[start : start + SHARD_FILES]
        if files.fingerprint(found) != shard.fingerprint:
            raise files.changed(f"{shard.name} of {name!r} in {self.uri}")
        return found


def _folders_with_images(folder: Path) -> list[str]:
    """Return the names of the subfolders that hold images at any depth, sorted."""
    return [name for name in files.subfolders(folder) if any(files.walk(folder / name, SUFFIXES))]


def _batches(found: Sequence[files.FoundFile], columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    if "images" not in columns:
        for start in range(0, len(found), batch_rows):
            yield _batch([None] * len(found[start : start + batch_rows]), columns)
        return
    held: list[dict[str, object] | None] = []
    held_bytes = 0
    for file in found:
        encoded = _content(file)
        if held and held_bytes + len(encoded) > BATCH_BYTES:
            yield _batch(held, columns)
            held, held_bytes = [], 0
        held.append({"bytes": encoded, "path": file.relative})
        held_bytes += len(encoded)
        if len(held) == batch_rows:
            yield _batch(held, columns)
            held, held_bytes = [], 0
    if held:
        yield _batch(held, columns)


def _batch(images: Sequence[dict[str, object] | None], columns: Sequence[str]) -> pa.RecordBatch:
    schema = schema_of(columns)
    given = {"images": pa.array([[image] for image in images], IMAGES), "strings": strings([], len(images))}
    arrays = [given.get(field.name, pa.nulls(len(images), field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _content(file: files.FoundFile) -> bytes:
    try:
        status = file.path.stat()
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            raise files.changed(file.path)
        if file.size_bytes > _MAX_FILE_BYTES:
            raise SourceError(f"{file.path} is larger than 2 GiB, too large for an image: move it out of the folder")
        return file.path.read_bytes()
    except OSError as error:
        raise files.cannot_read(file.path, error) from None
