"""What one pass made of a shard, in order and in bounded memory; it can be pickled."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from visdiv_assets.embedding.shards import ImageVectors, KnownVectors
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.identity import image_changed
from visdiv_assets.imaging.listing import BATCH_ROWS, IMAGES_SCHEMA
from visdiv_assets.ingest.known import KnownBlobs
from visdiv_assets.ingest.spool import ArraySpool, BlobSpool, TableSpool

#: Images whose blobs are taken at once.
TAKE_ROWS = 256


class Listing:
    """Rows of `imaging.listing.IMAGES_SCHEMA`: every position, with the description of its image.

    An image that occurs several times is described once.
    """

    def __init__(self, file: str | None = None, first_row: int = 0) -> None:
        """Begin without positions.

        Args:
            file: the file that holds the rows; None if each row is a file, which the path of its image names.
            first_row: index of the file's first row in the subset.
        """
        self._rows, self._indices, self._images = array("q"), array("i"), array("q")
        self._file, self._first_row = file, first_row
        self._paths, self._descriptions = BlobSpool(), BlobSpool()

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, row: int, image_index: int, image: int, path: str | None = None) -> None:
        """Add a position; `image` counts the different images in order of first occurrence."""
        self._rows.append(row)
        self._indices.append(image_index)
        self._images.append(image)
        self._paths.append(b"" if path is None else path.encode())

    def describe(self, description: tuple[object, ...]) -> None:
        """Add the description of the next different image: the columns after those of the position."""
        self._descriptions.append(pickle.dumps(description))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the positions in order."""
        for start in range(0, len(self), BATCH_ROWS):
            part = slice(start, start + BATCH_ROWS)
            described = [pickle.loads(self._descriptions[image]) for image in self._images[part]]
            rows = self._rows[part]
            paths = [self._paths[index].decode() or None for index in range(start, start + len(rows))]
            files = paths if self._file is None else [self._file] * len(rows)
            first = rows if self._file is None else [self._first_row] * len(rows)
            in_file = [row - begin for row, begin in zip(rows, first, strict=True)]
            columns = [rows, self._indices[part], files, in_file, paths, *zip(*described, strict=True)]
            arrays = [pa.array(values, kind.type) for values, kind in zip(columns, IMAGES_SCHEMA, strict=True)]
            yield pa.record_batch(arrays, schema=IMAGES_SCHEMA)


class BlobProduct:
    """One blob per image, in the order in which the images were added."""

    def __init__(self) -> None:
        """Begin without images."""
        self._ids = ArraySpool("S32")
        self._items = BlobSpool()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def ids(self) -> np.ndarray:
        """The image_ids, S32 [n]."""
        return self._ids[:]

    def append(self, image_id: str, item: bytes) -> None:
        """Add an image."""
        self._ids.append(np.array([image_id], "S32"))
        self._items.append(item)

    def take(self, ids: np.ndarray, known: KnownBlobs) -> Iterator[bytes]:
        """Yield the blobs of images by image_id, S32 [n], made now or known from an earlier state.

        Raises:
            ModelError: one of them is neither: the source has changed since the images were listed.
        """
        made = IdIndex(self.ids).rows(ids)
        for start in range(0, len(ids), TAKE_ROWS):
            part = slice(start, start + TAKE_ROWS)
            earlier = known.find(ids[part][made[part] < 0])
            for row in made[part]:
                yield self._items[int(row)] if row >= 0 else next(earlier)


class VectorProduct:
    """One vector per image, in the order in which the images were added."""

    def __init__(self, dimension: int, *, keeps_norms: bool) -> None:
        """Begin without images.

        Args:
            dimension: length of a vector.
            keeps_norms: whether the lengths of the vectors before scaling are kept too.
        """
        self._ids = ArraySpool("S32")
        self._vectors = ArraySpool(np.float16, dimension)
        self._norms = ArraySpool(np.float32) if keeps_norms else None
        self._dimension = dimension

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> np.ndarray:
        """The image_ids, S32 [n]."""
        return self._ids[:]

    @property
    def vectors(self) -> np.ndarray:
        """The vectors, float16 [n, dimension]."""
        return self._vectors[:]

    def append_id(self, image_id: str) -> None:
        """Add an image, whose vector follows."""
        self._ids.append(np.array([image_id], "S32"))

    def append(self, vectors: np.ndarray, norms: np.ndarray | None) -> None:
        """Add the vectors of the next images, float16 [n, dimension], and their norms, float32 [n]."""
        self._vectors.append(vectors)
        if self._norms is not None and norms is not None:
            self._norms.append(norms)

    def take(self, ids: np.ndarray, known: KnownVectors) -> ImageVectors:
        """Return the vectors of images by image_id, S32 [n], made now or known from an earlier state.

        Raises:
            ModelError: one of them is neither: the source has changed since the images were listed.
        """
        made = IdIndex(self.ids).rows(ids)
        absent = np.flatnonzero(made < 0)
        mask, rows = known.rows(ids[absent])
        if not mask.all():
            raise image_changed(ids[absent[~mask][0]].decode())
        vectors = np.empty((len(ids), self._dimension), np.float16)
        norms = np.empty(len(ids), np.float32) if self._norms is not None else None
        if len(absent):
            vectors[absent] = known.vectors(rows)
        target = np.full(len(self), -1, np.int64)
        target[made[made >= 0]] = np.flatnonzero(made >= 0)
        self._vectors.fill(vectors, target)
        if norms is not None and self._norms is not None:
            if len(absent):
                norms[absent] = known.norms(rows)
            self._norms.fill(norms, target)
        return ImageVectors(vectors, norms, len(ids) - len(absent))


@dataclass
class ShardProducts:
    """What one pass made of a shard.

    Attributes:
        images: every position; None if not wanted.
        turns: batches of `TURNS_SCHEMA`; None if not wanted.
        turn_counts: batches of `TURN_COUNTS_SCHEMA`, one row for every row of the shard; None if not wanted.
        strings: batches of `STRINGS_SCHEMA`, one row for every row of the shard; None if not wanted.
        thumbnails: thumbnails of the chosen images; None if not wanted.
        features: local features of the chosen images; None if not wanted.
        vectors: vectors of the chosen images, by the name of the model.
    """

    images: Listing | None = None
    turns: TableSpool | None = None
    turn_counts: TableSpool | None = None
    strings: TableSpool | None = None
    thumbnails: BlobProduct | None = None
    features: BlobProduct | None = None
    vectors: dict[str, VectorProduct] = field(default_factory=dict)
