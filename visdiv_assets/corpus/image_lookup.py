"""Images of the corpus by their positions: as pages show them, from the lake, or their bytes, from the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import CONTENT, first_positions
from visdiv_assets.corpus.row_files import COLUMNS as FILE_COLUMNS
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.decode import DecodedImage, ImageStatus, decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.thumbnails import SIDE, Preview, encode_thumbnail, preview, unreadable
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake

#: Images that are fetched together where thumbnails are missing: each fetch may read every file of the subset.
FETCHED_TOGETHER = 256


class ImagePosition(NamedTuple):
    """A position, and the identity of its image; `name` is its subset or benchmark."""

    name: str
    row: int
    image_index: int
    image_id: str


@dataclass(frozen=True)
class ImageRef:
    """One image, as a page shows it.

    Attributes:
        place: its subset or benchmark.
        row: its row there, from 0.
        image_index: its index in the row, from 0.
        image_id: its identity.
        preview: its thumbnail, and its format and size or why it is unreadable.
        note: a text to show beside it, for example that of its row; of any length.
        file: the file of the source that holds its row; None if it is not known.
        row_in_file: the row in that file, from 0.
        path: its path, as the source states it; None if it states none.
    """

    place: str
    row: int
    image_index: int
    image_id: str
    preview: Preview
    note: str = ""
    file: str | None = None
    row_in_file: int | None = None
    path: str | None = None


class _Listed(NamedTuple):
    """What the table of images says of a position."""

    about: DecodedImage
    file: str | None
    row_in_file: int | None
    path: str | None


@dataclass(frozen=True)
class ImageReader:
    """Reads images as pages show them: stored thumbnails, and format, size and status from the table of images.

    Attributes:
        lake: where they lie.
        open_source: opens the source, from which an image is fetched if its thumbnail is not stored.
        limits: of images that are fetched; a larger one counts as unreadable.
    """

    lake: Lake
    open_source: Callable[[], Source]
    limits: DecodeLimits

    def read(self, kind: Kind, positions: Iterable[ImagePosition]) -> dict[ImagePosition, ImageRef]:
        """Return the images at some positions of subsets or benchmarks, each once.

        Raises:
            NotMaterializedError: the images of a subset or benchmark were never listed.
        """
        by_name: dict[str, list[ImagePosition]] = {}
        for position in sorted(set(positions)):
            by_name.setdefault(position.name, []).append(position)
        found: dict[ImagePosition, ImageRef] = {}
        for name, of_name in by_name.items():
            listed = self._listed(kind, name, of_name)
            about = {position: each.about for position, each in listed.items()}
            for position, shown in self._previews(kind, name, of_name, about).items():
                where = listed[position][1:] if position in listed else (None, None, None)
                found[position] = ImageRef(*position, shown, "", *where)
        return found

    def _previews(
        self, kind: Kind, name: str, positions: Sequence[ImagePosition], listed: dict[ImagePosition, DecodedImage]
    ) -> dict[ImagePosition, Preview]:
        readable = [position for position, about in listed.items() if about.status is ImageStatus.OK]
        thumbnails = self._stored(kind, name, [position.image_id for position in readable])
        missing = [position for position in readable if position.image_id not in thumbnails]
        for position, decoded in self._fetched(kind, name, missing):
            listed[position] = decoded
            if decoded.pixels is not None:
                thumbnails[position.image_id] = encode_thumbnail(decoded.pixels, SIDE)
        previews = dict.fromkeys(positions, Preview(None, "no longer listed"))
        for position, about in listed.items():
            webp = thumbnails.get(position.image_id) if about.status is ImageStatus.OK else None
            previews[position] = unreadable(about) if webp is None else preview(webp, about)
        return previews

    def _listed(self, kind: Kind, name: str, positions: Sequence[ImagePosition]) -> dict[ImagePosition, _Listed]:
        """Return what is known of the images that are still listed at their positions, without pixels."""
        rows = pa.array({position.row for position in positions}, pa.int64())
        table = self.lake.read(
            self.lake.require(CONTENT[kind].images, name),
            columns=[*ImagePosition._fields[1:], *FILE_COLUMNS, "status", "detail", "format", "width", "height"],
            where=pc.field("row").isin(rows),
        )
        wanted = set(positions)
        found: dict[ImagePosition, _Listed] = {}
        for row, image_index, image_id, *rest in zip(*table.to_pydict().values(), strict=True):
            position = ImagePosition(name, row, image_index, image_id)
            if position in wanted:
                where, (status, *about) = rest[: len(FILE_COLUMNS)], rest[len(FILE_COLUMNS) :]
                found[position] = _Listed(DecodedImage(ImageStatus(status), *about), *where)
        return found

    def _stored(self, kind: Kind, name: str, image_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the thumbnails that are stored, by image_id; none if the subset or benchmark has no thumbnails."""
        manifest = self.lake.manifest(CONTENT[kind].thumbnails, name)
        if manifest is None or not manifest.files("ids") or not image_ids:
            return {}
        ids = self.lake.read(manifest, "ids", columns=["image_id"])["image_id"]
        rows = np.flatnonzero(pc.is_in(ids, value_set=pa.array(image_ids, pa.string())))
        return dict(
            zip(ids.take(pa.array(rows)).to_pylist(), self.lake.blobs(manifest, "thumbnails").read(rows), strict=True)
        )

    def _fetched(
        self, kind: Kind, name: str, positions: Sequence[ImagePosition]
    ) -> Iterator[tuple[ImagePosition, DecodedImage]]:
        """Fetch and decode images, one after the other; without positions the source is not opened."""
        for start in range(0, len(positions), FETCHED_TOGETHER):
            group = fetch_encoded(self.open_source(), kind, positions[start : start + FETCHED_TOGETHER])
            for position, data in group.items():
                yield position, decode_image(data, limits=self.limits)


def find_first_positions(store: Lake, subset: str, image_ids: Iterable[str]) -> dict[str, ImagePosition]:
    """Return the first positions of some images of a subset, by image_id."""
    listed = store.read(
        store.require(LakeTable.SUBSET_IMAGES, subset),
        columns=["row", "image_index", "image_id", "status"],
        where=pc.field("image_id").isin(pa.array(sorted(set(image_ids)), pa.string())),
    )
    return {
        record["image_id"]: ImagePosition(subset, record["row"], record["image_index"], record["image_id"])
        for record in first_positions(listed).to_pylist()
    }


def fetch_encoded(source: Source, kind: Kind, positions: Sequence[ImagePosition]) -> dict[ImagePosition, bytes | None]:
    """Fetch the encoded images at some positions of subsets or benchmarks, each once."""
    found: dict[ImagePosition, bytes | None] = {}
    for name in sorted({position.name for position in positions}):
        once = sorted({position for position in positions if position.name == name})
        encoded = source.fetch(kind, name, [(position.row, position.image_index) for position in once])
        found |= zip(once, encoded, strict=True)
    return found
