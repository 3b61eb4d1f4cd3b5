"""Read and embed image files, on one device or several, with vectors kept by the content of the images."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.embedding.stream import Embedded, Prepared, run_models
from visdiv_assets.embedding.vector_cache import VectorCache
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.decode import ImageStatus, decode_image, decoded_bytes
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress
from visdiv_assets.threads import ByteBudget, ordered_map

#: Images that one of several devices embeds before the next ones are handed out.
CHUNK_IMAGES = 4096

#: Maximum bytes of the images that threads hold decoded at once; a larger image is decoded alone.
DECODED_BYTES = 512 << 20

#: A folder, a file, or files.
Images = str | Path | Iterable[str | Path]


class Unreadable(NamedTuple):
    """A file that has no vector.

    Attributes:
        path: the file.
        status: why, one of `ImageStatus`, such as "truncated"; "not_found" if the file cannot be opened.
        detail: one line on what went wrong.
    """

    path: Path
    status: str
    detail: str


def image_files(images: Images) -> list[Path]:
    """Return the image files of a folder and its subfolders, sorted, without hidden ones; or the given files.

    Raises:
        InputError: there is no such folder or file, or the folder holds no image.
    """
    if not isinstance(images, str | Path):
        return [Path(file) for file in images]
    folder = Path(images)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder that holds images, or a list of files")
    from visdiv_assets.sources.image_folder import is_image

    def visible(path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    files = sorted(path for path in folder.rglob("*") if visible(path) and path.is_file() and is_image(path))
    if not files:
        raise InputError(
            f"{folder} holds no images: no file in it or in its subfolders has the ending of an image or begins as one"
        )
    return files


class _Seen(NamedTuple):
    """What a thread found in a file: the vector if it is kept, the reason if it is unreadable, else neither."""

    number: int
    image_id: str = ""
    pixels: int = 0
    kept: np.ndarray | None = None
    unreadable: Unreadable | None = None


class _Batch(NamedTuple):
    """Vectors of some images: those that were computed, or one that was kept before."""

    images: list[_Seen]
    vectors: np.ndarray


class FileStream:
    """The vectors of some files, made in bounded memory.

    Attributes:
        unreadable: the files that cannot be read, by their indices; complete after `run`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        threads: int,
        limits: DecodeLimits,
        cache: VectorCache | None,
        advance: Progress,
    ) -> None:
        """Prepare to embed files.

        Args:
            files: the files.
            threads: threads that decode, and run models on the CPU, for each device.
            limits: larger images are unreadable.
            cache: vectors that are known, and to which others are added; None to keep none.
            advance: called with the number of files read.
        """
        self.unreadable: dict[int, Unreadable] = {}
        self._files, self._threads, self._limits = files, threads, limits
        self._cache, self._advance = cache, advance
        self._budget = ByteBudget(DECODED_BYTES)

    def run(self, embedders: Sequence[Embedder]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield indices of files [n], and their vectors float32 [n, dimension]; each readable file once, in any order.

        Args:
            embedders: the same model, once for each device.

        Raises:
            ModelError: a device does not have enough memory.
            StorageError: the cache cannot be written.
        """
        try:
            with closing(self._batches(embedders)) as batches:
                for images, vectors in batches:
                    if self._cache is not None:
                        for image, vector in zip(images, vectors, strict=True):
                            if image.kept is None:
                                self._cache.add(image.image_id, image.pixels, vector)
                    yield [image.number for image in images], vectors
        finally:
            if self._cache is not None:
                self._cache.flush()

    def _batches(self, embedders: Sequence[Embedder]) -> Generator[_Batch, None, None]:
        count = len(self._files)
        if len(embedders) == 1:
            yield from self._embed(range(count), embedders[0])
            return
        free: SimpleQueue[Embedder] = SimpleQueue()
        for embedder in embedders:
            free.put(embedder)

        def on_free_device(chunk: range) -> list[_Batch]:
            embedder = free.get()
            try:
                return list(self._embed(chunk, embedder))
            finally:
                free.put(embedder)

        chunks = (range(start, min(start + CHUNK_IMAGES, count)) for start in range(0, count, CHUNK_IMAGES))
        for made in ordered_map(on_free_device, chunks, threads=len(embedders), ahead=1):
            yield from made

    def _embed(self, indices: range, embedder: Embedder) -> Generator[_Batch, None, None]:
        """Yield the vectors of some files on one device."""

        def prepare(index: int) -> Prepared[_Seen]:
            return self._prepare(index, embedder)

        waiting: deque[_Seen] = deque()
        stream = run_models(
            indices,
            prepare,
            {"images": embedder},
            threads=self._threads,
            bytes_of=lambda index: _size(self._files[index]),
            dtype=np.float32,
        )
        with closing(stream):
            for made in stream:
                if isinstance(made, Embedded):
                    yield _Batch([waiting.popleft() for _ in made.vectors], made.vectors)
                    continue
                self._advance(1)
                if made.unreadable is not None:
                    self.unreadable[made.number] = made.unreadable
                elif made.kept is not None:
                    yield _Batch([made], made.kept[np.newaxis])
                else:
                    waiting.append(made)

    def _prepare(self, index: int, embedder: Embedder) -> Prepared[_Seen]:
        path = self._files[index]
        try:
            data = path.read_bytes()
        except OSError as error:
            missing = Unreadable(path, ImageStatus.NOT_FOUND.value, error.strerror or str(error))
            return Prepared(_Seen(index, unreadable=missing), {})
        name = image_id(data)
        if self._cache is not None and len(data) <= self._limits.max_bytes:
            kept = self._cache.find(name, self._limits.max_pixels)
            if kept is not None:
                return Prepared(_Seen(index, kept=kept), {})
        with self._budget.hold(decoded_bytes(data, limits=self._limits)):
            decoded = decode_image(data, limits=self._limits)
            if decoded.pixels is None:
                return Prepared(_Seen(index, unreadable=Unreadable(path, decoded.status.value, decoded.detail)), {})
            area = decoded.pixels.width * decoded.pixels.height
            return Prepared(_Seen(index, name, area), {"images": embedder.preprocess(decoded.pixels)})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
