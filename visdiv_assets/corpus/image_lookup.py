"""Images of the corpus, fetched from the source by their positions."""

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
    """A position, and the identity of its image; `name` is its subset or benchmark."""

    name: str
    row: int
    image_index: int
    image_id: str


@dataclass(frozen=True)
class ImageRef:
    """One image of a pair, with its encoded bytes.

    Attributes:
        place: its subset or benchmark.
        row: its row there, from 0.
        image_index: its index in the row, from 0.
        image_id: its identity.
        data: the encoded image; None if it cannot be fetched.
        note: a text to show beside it, for example that of its row; of any length.
    """

    place: str
    row: int
    image_index: int
    image_id: str
    data: bytes | None
    note: str = ""


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


def fetch_images(source: Source, kind: Kind, positions: Sequence[ImagePosition]) -> dict[ImagePosition, ImageRef]:
    """Fetch the encoded images at some positions of subsets or benchmarks, each once."""
    found: dict[ImagePosition, ImageRef] = {}
    for name in sorted({position.name for position in positions}):
        once = sorted({position for position in positions if position.name == name})
        encoded = source.fetch(kind, name, [(position.row, position.image_index) for position in once])
        for position, data in zip(once, encoded, strict=True):
            found[position] = ImageRef(name, position.row, position.image_index, position.image_id, data)
    return found


def fetch_decoded(
    source: Source, kind: Kind, positions: Sequence[ImagePosition], *, limits: DecodeLimits
) -> dict[ImagePosition, Image | None]:
    """Fetch and decode the images at some positions; None for an unreadable image."""
    return {
        position: decode_image(found.data, limits=limits).pixels
        for position, found in fetch_images(source, kind, positions).items()
    }
