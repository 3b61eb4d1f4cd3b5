"""Images in memory as verification reads them, without a lake and a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates.pair_images import BACKGROUND_IMAGES, Stored, stored_background
from visdiv_assets.duplicates.verify import Background, Subject, prepare_pixels, stored_subject
from visdiv_assets.imaging.decode import decode_image


class MemoryImages:
    """Encoded images of some subsets; an `ImageAccess`."""

    def __init__(self, subsets: Mapping[str, Mapping[str, bytes]]) -> None:
        """Store the images: for each subset, encoded images by image_id."""
        self._images = {name: data for images in subsets.values() for name, data in images.items()}
        self._owner = {name: subset for subset, images in subsets.items() for name in images}
        self._stored: dict[str, Stored] = {}
        self._backgrounds: dict[str, Background] = {}

    def stored(self, image_ids: Sequence[str]) -> list[Stored]:
        """Return packed features and encoded thumbnails."""
        for name in image_ids:
            if name not in self._stored:
                pixels = decode_image(self._images[name]).pixels
                assert pixels is not None
                self._stored[name] = Stored.of(pixels)
        return [self._stored[name] for name in image_ids]

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        """Return a function that fetches encoded images."""
        return lambda names: [self._images[name] for name in names]

    def backgrounds(self, image_id_a: str, image_id_b: str) -> list[Background]:
        """Return the backgrounds of a pair: the images with the lowest image_ids of each subset."""
        owners = dict.fromkeys(self._owner[name] for name in (image_id_a, image_id_b))
        return [self._background(owner) for owner in owners]

    def _background(self, owner: str) -> Background:
        if owner not in self._backgrounds:
            names = sorted(name for name in self._owner if self._owner[name] == owner)[:BACKGROUND_IMAGES]
            self._backgrounds[owner] = stored_background(names, self.stored(names))
        return self._backgrounds[owner]


def subject_of(stored: tuple[bytes | None, bytes | None], data: bytes | None) -> Subject:
    """Return an image as verification takes it, with its pixels.

    Args:
        stored: packed features and encoded thumbnail.
        data: the encoded image.
    """
    known = stored_subject(*stored)
    return Subject(known.features, known.thumbnail, prepare_pixels(decode_image(data).pixels))
