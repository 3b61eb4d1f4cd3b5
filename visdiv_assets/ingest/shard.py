"""One pass over a shard: each different image is hashed and decoded once, and every product is made from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.embedding.stream import Embedded, Prepared, run_models
from visdiv_assets.imaging.decode import DecodedImage, ImageStatus, decode_image, decoded_bytes
from visdiv_assets.imaging.identity import image_changed, image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.listing import describe, image_bytes
from visdiv_assets.imaging.local_features import extract_features
from visdiv_assets.imaging.thumbnails import encode_thumbnail
from visdiv_assets.ingest.numbering import Numbering
from visdiv_assets.ingest.products import BlobProduct, Listing, ShardProducts, VectorProduct
from visdiv_assets.ingest.spool import TableSpool
from visdiv_assets.ingest.turns import STRINGS_SCHEMA, TURN_COUNTS_SCHEMA, TURNS_SCHEMA, turn_rows
from visdiv_assets.ingest.wanted import Wanted
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ByteBudget

#: Maximum bytes of the images that threads hold decoded at once; a larger image is decoded alone.
DECODED_BYTES = 512 << 20

#: Characters of a path in the detail of an image.
_PATH_LENGTH = 200


class Task(NamedTuple):
    """A different image of the shard.

    Attributes:
        image_id: its identity; empty if it has no bytes.
        data: the encoded image.
        products: what is made of it, by name, beside its description.
        missing: the file that should have its bytes and is not there; None if there is none.
    """

    image_id: str
    data: bytes | None
    products: Sequence[str]
    missing: str | None


class Made(NamedTuple):
    """What a thread made of an image.

    Attributes:
        image_id: its identity.
        description: its columns in the listing; None if it is not listed.
        blobs: thumbnail and features, by the name of the product.
        models: the models that see it.
    """

    image_id: str
    description: tuple[object, ...] | None
    blobs: dict[str, bytes]
    models: list[str]


def ingest_shard(
    read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]],
    wanted: Wanted,
    *,
    first_row: int,
    file: str | None = None,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> ShardProducts:
    """Make the wanted products of a shard in one pass.

    The products are the same for any number of threads.

    Args:
        read: returns the shard's rows in order with some columns of the source, in batches of limited size; it is not
            called if nothing has to be read.
        wanted: what to make.
        first_row: index of the shard's first row in the subset.
        file: the file that holds the rows; None if each row is a file, which the path of its image names.
        threads: threads that decode, and run models on the CPU.
        limits: limits of images; a larger image is unreadable.
        progress: called with the number of rows read.

    Raises:
        ModelError: a listed image is not there or cannot be read: the source has changed.
        StorageError: the disk of the temporary files is full.
    """
    return _Pass(wanted, first_row, file, limits, progress).run(read, threads)


class _Pass:
    def __init__(
        self, wanted: Wanted, first_row: int, file: str | None, limits: DecodeLimits, progress: Progress
    ) -> None:
        self._wanted, self._row, self._limits, self._progress = wanted, first_row, limits, progress
        self._budget = ByteBudget(DECODED_BYTES)
        self._images = Numbering()
        #: Which listed images have to be found.
        self._sought = self._wanted.sought()
        self._made = ShardProducts(
            images=Listing(file, first_row) if wanted.images else None,
            turns=TableSpool(TURNS_SCHEMA) if wanted.turns else None,
            turn_counts=TableSpool(TURN_COUNTS_SCHEMA) if wanted.turns else None,
            strings=TableSpool(STRINGS_SCHEMA) if wanted.strings else None,
            thumbnails=BlobProduct() if wanted.thumbnails else None,
            features=BlobProduct() if wanted.features else None,
            vectors={
                name: VectorProduct(model.embedder.dimension, keeps_norms=model.embedder.keeps_norms)
                for name, model in wanted.models.items()
            },
        )
        self._blobs = {"thumbnails": self._made.thumbnails, "features": self._made.features}

    def run(self, read: Callable[[Sequence[str]], Iterable[pa.RecordBatch]], threads: int) -> ShardProducts:
        columns = self._wanted.columns
        if columns:
            models = {name: model.embedder for name, model in self._wanted.models.items()}
            stream = run_models(self._tasks(read(columns)), self._make, models, threads=threads, bytes_of=_size)
            with closing(stream):
                for made in stream:
                    self._keep(made)
        for name in self._sought or ():
            raise image_changed(name)
        return self._made

    def _tasks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Task]:
        """Yield the images to decode, and list positions and texts on the way."""
        for batch in batches:
            if self._made.turns is not None and self._made.turn_counts is not None:
                turns, counts = turn_rows(batch, self._row)
                self._made.turns.append(turns)
                self._made.turn_counts.append(counts)
            if self._made.strings is not None:
                self._made.strings.append(batch.select(STRINGS_SCHEMA.names))
            if "images" in batch.schema.names:
                yield from self._images_of(batch)
            self._row += batch.num_rows
            self._progress(batch.num_rows)
            if self._sought is not None and not self._sought and not self._wanted.reads_texts:
                return

    def _images_of(self, batch: pa.RecordBatch) -> Iterator[Task]:
        rows, indices, encoded, paths = image_bytes(batch)
        new: dict[str, int] = {}
        for entry in range(len(encoded)):
            data, path = encoded[entry].as_buffer(), paths[entry].as_py()
            name = image_id(data) if data is not None else _missing_key(path)
            number, is_new = self._images.number(name)
            if is_new:
                new[name] = entry
            if self._made.images is not None:
                self._made.images.place(self._row + int(rows[entry]), int(indices[entry]), number, path)
        needed = self._wanted.needed(np.array(list(new), "S32"))
        for index, (key, entry) in enumerate(new.items()):
            data = encoded[entry].as_py()
            name, missing = (key, None) if data is not None else ("", paths[entry].as_py())
            products = [product for product, chosen in needed.items() if chosen[index]] if name else []
            if self._sought is not None:
                self._sought.discard(name)
            if products or self._made.images is not None:
                yield Task(name, data, products, missing)

    def _make(self, task: Task) -> Prepared[Made]:
        """Make everything of one image but its vectors; called in threads."""
        with self._budget.hold(decoded_bytes(task.data, limits=self._limits)):
            decoded = _not_found(task.missing) if task.missing else decode_image(task.data, limits=self._limits)
            description = (
                describe(task.image_id or None, _size(task), decoded) if self._made.images is not None else None
            )
            made = Made(task.image_id, description, {}, [])
            inputs: dict[str, np.ndarray] = {}
            if decoded.pixels is None:
                if self._wanted.listed is not None:
                    raise image_changed(made.image_id)
                return Prepared(made, inputs)
            for name in task.products:
                if name == "thumbnails":
                    made.blobs[name] = encode_thumbnail(decoded.pixels, self._wanted.thumbnail_side)
                elif name == "features":
                    made.blobs[name] = extract_features(decoded.pixels)
                else:
                    made.models.append(name)
                    inputs[name] = self._wanted.models[name].embedder.preprocess(decoded.pixels)
        return Prepared(made, inputs)

    def _keep(self, made: Made | Embedded) -> None:
        if isinstance(made, Embedded):
            self._made.vectors[made.model].append(made.vectors, made.norms)
            return
        if made.description is not None and self._made.images is not None:
            self._made.images.describe(made.description)
        for name, blob in made.blobs.items():
            product = self._blobs[name]
            if product is not None:
                product.append(made.image_id, blob)
        for name in made.models:
            self._made.vectors[name].append_id(made.image_id)


def _size(task: Task) -> int:
    return len(task.data or b"")


def _missing_key(path: str | None) -> str:
    """Return what stands for the image_id of an image without bytes; all without a path count as one image."""
    return f"?{hashlib.sha256(path.encode()).hexdigest()[:31]}" if path else ""


def _not_found(path: str) -> DecodedImage:
    return DecodedImage(
        ImageStatus.NOT_FOUND,
        f"the row has no bytes and names {path[:_PATH_LENGTH]!r}: there is no such file in the source "
        "(VISDIV_OUTSIDE_FILES=true also looks outside it)",
    )
