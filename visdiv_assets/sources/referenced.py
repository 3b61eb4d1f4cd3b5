"""Read the images that rows name by path instead of holding their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.sources.batching import BATCH_BYTES
from visdiv_assets.sources.conform import IMAGE, lists_of
from visdiv_assets.sources.files import cannot_read, folders_of
from visdiv_assets.sources.image_columns import IMAGES

#: Largest file that is read, which a binary column can address; far above the default limit of images.
MAX_FILE_BYTES = (1 << 31) - 1


class ReferencedFiles:
    """The files beside a subset that its rows may name."""

    def __init__(self, root: Path, folders: Sequence[Path], *, outside: bool) -> None:
        """Remember where paths may lead; nothing is opened.

        Args:
            root: the source. A path that leads out of it, also by a link, is not found.
            folders: relative paths are looked for in these, then in the root.
            outside: whether paths may lead out of the root.
        """
        self._root, self._outside = root, outside
        self._folders = tuple(dict.fromkeys([*folders, root]))

    def beside(self, file: Path) -> ReferencedFiles:
        """Return the files for rows of one file, next to which paths are looked for first."""
        return ReferencedFiles(self._root, (file.parent, *self._folders), outside=self._outside)

    def find(self, path: str) -> Path | None:
        """Return the file that a row names; None if there is none, or if it is outside the source."""
        if not path or "\0" in path:
            return None
        for folder in self._folders:
            candidate = folder / path.removeprefix("file://")
            try:
                if not candidate.is_file():
                    continue
                if self._outside or any(map(candidate.resolve().is_relative_to, folders_of(self._root))):
                    return candidate
            except (OSError, ValueError):
                continue
        return None

    def with_bytes(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a normalized batch with the bytes of images that are known by path.

        An image whose file is not found keeps null bytes. Rows whose files are large come in batches of their own.

        Raises:
            SourceError: a file cannot be read.
        """
        entries = batch.column("images").flatten()
        wanted = pc.and_(entries.field("bytes").is_null(), entries.field("path").is_valid())
        if not pc.any(wanted).as_py():
            yield batch
            return
        paths = entries.field("path").to_pylist()
        found = [self.find(path) if known else None for path, known in zip(paths, wanted.to_pylist(), strict=True)]
        sizes = [_size(file) if file else 0 for file in found]
        lengths = batch.column("images").value_lengths().to_pylist()
        row = entry = 0
        while row < batch.num_rows:
            stop, last, held = row, entry, 0
            while stop < batch.num_rows:
                more = sum(sizes[last : last + lengths[stop]])
                if stop > row and held + more > BATCH_BYTES:
                    break
                held, last, stop = held + more, last + lengths[stop], stop + 1
            part = batch.slice(row, stop - row)
            yield _replace_images(part, [None if file is None else _content(file) for file in found[entry:last]])
            row, entry = stop, last


def with_bytes(referenced: ReferencedFiles | None, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a normalized batch with the bytes of images that are known by path, if any can be."""
    if referenced is None or "images" not in batch.schema.names:
        yield batch
    else:
        yield from referenced.with_bytes(batch)


def is_file(referenced: ReferencedFiles | None) -> Callable[[str], bool]:
    """Return a function that tells whether a path leads to a file that rows may name."""
    return lambda path: referenced is not None and referenced.find(path) is not None


def _replace_images(batch: pa.RecordBatch, contents: Sequence[bytes | None]) -> pa.RecordBatch:
    """Return a batch whose images have these bytes where they have none of their own."""
    index = batch.schema.get_field_index("images")
    images = batch.column(index)
    entries = images.flatten()
    encoded = pc.coalesce(entries.field("bytes"), pa.array(contents, pa.binary()))
    entries = pa.StructArray.from_arrays([encoded, entries.field("path")], fields=list(IMAGE))
    return batch.set_column(index, batch.schema.field(index), lists_of(images.value_lengths(), entries, IMAGES))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise cannot_read(file, error) from None


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else None
    except OSError as error:
        raise cannot_read(file, error) from None
