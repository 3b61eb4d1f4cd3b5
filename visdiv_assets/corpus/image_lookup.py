"""Images for reports, fetched by the position that the lake gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake

if TYPE_CHECKING:
    from PIL.Image import Image


class ImagePosition(NamedTuple):
    """An image position and its image."""

    name: str
    row: int
    image_index: int
    image_id: str


@dataclass(frozen=True)
class ImageRef:
    """One image of a pair.

    Attributes:
        place: the subset or benchmark that it is in.
        row: its row there, from 0.
        image_index: its index in the row, from 0.
        image_id: its identity.
        data: the encoded image; None if it cannot be had.
        note: a text to show beside it, such as its row's; of any length and content.
    """

    place: str
    row: int
    image_index: int
    image_id: str
    data: bytes | None
    note: str = ""


def find_first_positions(store: Lake, subset: str, image_ids: Iterable[str]) -> dict[str, ImagePosition]:
    """The first position of some images of a subset, by image_id."""
    listed = store.read(
        store.require(LakeTable.SUBSET_IMAGES, subset),
        columns=["row", "image_index", "image_id", "status"],
        where=pc.field("image_id").isin(pa.array(sorted(set(image_ids)), pa.string())),
    )
    return {
        record["image_id"]: ImagePosition(subset, record["row"], record["image_index"], record["image_id"])
        for record in first_positions(listed).to_pylist()
    }


def fetch_images(source: Source, kind: Kind, places: Sequence[ImagePosition]) -> dict[ImagePosition, ImageRef]:
    """The encoded images at some positions of subsets or benchmarks, each fetched once."""
    found: dict[ImagePosition, ImageRef] = {}
    for name in sorted({place.name for place in places}):
        once = sorted({place for place in places if place.name == name})
        encoded = source.fetch(kind, name, [(place.row, place.image_index) for place in once])
        for place, data in zip(once, encoded, strict=True):
            found[place] = ImageRef(name, place.row, place.image_index, place.image_id, data)
    return found


def fetch_decoded(
    source: Source, kind: Kind, places: Sequence[ImagePosition], *, limits: DecodeLimits
) -> dict[ImagePosition, Image | None]:
    """The images at some positions, decoded; None for one that cannot be read."""
    return {
        place: decode_image(found.data, limits=limits).pixels
        for place, found in fetch_images(source, kind, places).items()
    }
