"""A folder of image files, with one row per image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.imaging.formats import HEAD_BYTES, TAIL_BYTES, sniff_image
from visdiv_assets.sources import files, layout
from visdiv_assets.sources.about import folder_license
from visdiv_assets.sources.batching import BATCH_BYTES, check_batch_rows
from visdiv_assets.sources.image_columns import IMAGES
from visdiv_assets.sources.interface import ColumnsTaken, Kind, Shard, StoredShard
from visdiv_assets.sources.left_out import IMAGE_ENDINGS, SkippedFiles, describe_left_out
from visdiv_assets.sources.parquet_folder import no_split
from visdiv_assets.sources.reading import Reading
from visdiv_assets.sources.referenced import MAX_FILE_BYTES
from visdiv_assets.sources.schema import UNREAD, schema_of
from visdiv_assets.sources.strings import strings

#: Endings of image files, which are taken without a look at their content.
SUFFIXES = frozenset(f".{ending}" for ending in IMAGE_ENDINGS)

SHARD_FILES = 1000

#: The columns of an export of images, and the maximum rows of its batches.
STORED_COLUMNS = ("images", "texts", "source")
STORED_ROWS = 64


class ImageFolderSource:
    """Images under a folder, one row per image. Implements `interface.Source`.

    A file is an image if it has the ending of one, or if its content begins as one. A subfolder with images at any
    depth is a subset of that name, except `benchmarks`: each of its subfolders is a benchmark. If there is a folder
    `subsets`, its subfolders are the subsets. Images directly in the folder are a subset named after the folder; so are
    all images if the folders are those of splits, or `data` with those. Of a subset that has only folders of splits,
    one split is read. Rows are in the order of the images' posix paths relative to the subset's folder, as plain text;
    that path is the image's `path`. Texts, source and ratings are null, and there are no strings. A shard is 1000
    files.
    `shards` lists the files; the other methods use the last list.
    """

    def __init__(self, folder: str | Path, reading: Reading | None = None) -> None:
        self.uri = str(folder)
        self._root = Path(folder).absolute()
        self._reading = reading or Reading()
        self._listed: dict[tuple[Kind, str], list[files.FoundFile]] = {}

    def subsets(self) -> list[str]:
        """Return the names of the subsets, sorted.

        Raises:
            SourceError: the folder and a subfolder of the same name both hold images.
        """
        return sorted(self._folders(Kind.SUBSET))

    def benchmarks(self) -> list[str]:
        """Return the names of the benchmarks, sorted."""
        return sorted(self._folders(Kind.BENCHMARK))

    def license(self) -> str | None:
        """Return the license in the metadata of the folder's README.md."""
        return folder_license(self._root)

    def left_out(self) -> list[SkippedFiles]:
        """Return the files that are no images or of another split; see `interface.Source.left_out`."""
        unreadable: list[SourceError] = []
        found = sorted(files.walk(self._root, unreadable=unreadable))
        taken = {path.relative_to(self._root).as_posix() for path in self._taken()}
        return describe_left_out(found, taken, unreadable)

    def columns_taken(self, kind: Kind, name: str) -> ColumnsTaken:
        """Return that there are images only; see `interface.Source.columns_taken`."""
        self._find(kind, name)
        return ColumnsTaken(("images",), ())

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
                one_file=False,
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

    def _folders(self, kind: Kind) -> dict[str, Path]:
        """Return the folder of each subset or benchmark; the root is that of images beside or without subsets."""
        base = self._root / kind.value
        if kind is Kind.BENCHMARK or base.is_dir():
            return {name: base / name for name in _folders_with_images(base)} if base.is_dir() else {}
        own = files.own_name(self._root)
        held = [Kind.BENCHMARK.value] if self.benchmarks() else []
        tops = [name for name in _folders_with_images(self._root) if name not in held]
        inside = _folders_with_images(self._root / layout.DATA) if tops == [layout.DATA] else []
        if layout.are_subsets(inside):
            return {name: self._root / layout.DATA / name for name in inside}
        loose = any(is_image(self._root / name) for name in files.files_in(self._root))
        if not layout.are_subsets([name for name in tops if name != layout.DATA]):
            return {own: self._root} if tops or loose else {}
        if loose and own in tops:
            raise SourceError(
                f"{self.uri} holds images, and so does its subfolder {own!r} of the same name: rename the subfolder, "
                f"or move the images into another"
            )
        return {**{name: self._root / name for name in tops}, **({own: self._root} if loose else {})}

    def _paths(self, kind: Kind, name: str) -> tuple[Path, list[str]]:
        """Return the folder of a set and the images in it that are read."""
        folders = self._folders(kind)
        if name not in folders:
            raise files.no_such(self.uri, kind, name, sorted(folders))
        folder = folders[name]
        if folder == self._root and len(folders) > 1:
            return folder, [name for name in files.files_in(folder) if is_image(folder / name)]
        inside = f"{Kind.BENCHMARK.value}/" if folder == self._root and self.benchmarks() else None
        found = [path for path in files.walk(folder) if not (inside and path.startswith(inside))]
        images = [path for path in sorted(found) if is_image(folder / path)]
        if kind is Kind.BENCHMARK:
            return folder, images
        if not (chosen := layout.choose_split_folder(images, self._reading.split)):
            raise no_split(f"{name} in {self.uri}", self._reading.split, dict.fromkeys(images))
        return folder, chosen

    def _taken(self) -> Iterator[Path]:
        for kind in Kind:
            for name in self._folders(kind):
                with suppress(SourceError):  # its own runs report it
                    folder, paths = self._paths(kind, name)
                    yield from (folder / path for path in paths)

    def _find(self, kind: Kind, name: str) -> list[files.FoundFile]:
        folder, paths = self._paths(kind, name)
        return files.confined([files.look(folder, path) for path in paths], self._reading.confined(self._root))

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


def has_images(folder: Path) -> bool:
    """Return whether a folder holds an image at any depth; what cannot be read is left out."""
    return any(is_image(folder / path) for path in files.walk(folder, unreadable=[]))


def _folders_with_images(folder: Path) -> list[str]:
    """Return the names of the subfolders that hold images at any depth, sorted."""
    return [name for name in files.subfolders(folder) if has_images(folder / name)]


def is_image(path: Path) -> bool:
    """Return whether a file has the ending of an image, or the content."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        status = path.stat()
        return _begins_as_image(path, status.st_size, status.st_mtime_ns)
    except OSError:
        return False


@lru_cache(maxsize=1 << 16)
def _begins_as_image(path: Path, size_bytes: int, mtime_ns: int) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        content = stream.read(HEAD_BYTES)
        if size_bytes > HEAD_BYTES:
            stream.seek(-TAIL_BYTES, os.SEEK_END)
            content += stream.read()
    return sniff_image(content) is not None


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
    given = {
        "images": pa.array([[image] for image in images], IMAGES),
        "strings": strings([], len(images)),
        UNREAD: pa.array([0] * len(images), pa.int32()),
    }
    arrays = [given.get(field.name, pa.nulls(len(images), field.type)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _content(file: files.FoundFile) -> bytes:
    try:
        status = file.path.stat()
        if (status.st_size, status.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
            raise files.changed(file.path)
        if file.size_bytes > MAX_FILE_BYTES:
            raise SourceError(f"{file.path} is larger than 2 GiB, too large for an image: move it out of the folder")
        return file.path.read_bytes()
    except OSError as error:
        raise files.cannot_read(file.path, error) from None
