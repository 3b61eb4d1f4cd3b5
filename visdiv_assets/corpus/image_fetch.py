"""Fetch the encoded images of subsets and benchmarks by image_id, with each file of the source opened rarely."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.compute as pc

from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Encoded bytes that are read ahead; a single image may be larger.
MAX_BYTES_AHEAD = 128_000_000

#: A function that returns the encoded images of some image_ids, None for those that are no longer available.
Fetch = Callable[[Sequence[str]], list[bytes | None]]


class ImageFetcher:
    """The images of some subsets and benchmarks; one that several of them hold is fetched from the first."""

    def __init__(self, lake: Lake, source: Source, sets: Sequence[tuple[Kind, Manifest]]) -> None:
        """Read the positions of the images.

        Args:
            lake: where the images are listed.
            source: where the images are.
            sets: kind and manifest of the list of images of each subset or benchmark.
        """
        self._source, self._sets = source, sets
        ids, rows, images, sizes = [], [], [], []
        columns = ["row", "image_index", "image_id", "size_bytes", "status"]
        for _, manifest in sets:
            listed = lake.read(manifest, columns=columns, where=pc.field("status") == "ok")
            ids.append(listed["image_id"].to_numpy().astype("S32"))
            rows.append(listed["row"].to_numpy())
            images.append(listed["image_index"].to_numpy())
            sizes.append(listed["size_bytes"].to_numpy())
        self._index = IdIndex(np.concatenate([np.empty(0, "S32"), *ids]))
        self._starts = np.cumsum([0, *(len(of_set) for of_set in ids)])
        self._row, self._image, self._size = (np.concatenate([[], *c]).astype(np.int64) for c in (rows, images, sizes))

    def fetch(self, image_ids: Sequence[str]) -> list[bytes | None]:
        """Return encoded images; None for those that are no longer available or not listed."""
        return self._fetch_at(self._index.rows(np.array(image_ids, "S32")))

    def owner(self, image_id: str) -> int:
        """Return which of the sets an image is fetched from; -1 if none lists it."""
        position = int(self._index.rows(np.array([image_id], "S32"))[0])
        return int(np.searchsorted(self._starts, position, side="right")) - 1 if position >= 0 else -1

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        """Return a function that fetches as `fetch` does, and reads ahead.

        Args:
            image_ids: the image_ids that it will be asked for, each once, in the order in which they are first asked
                for. What has been read ahead is forgotten once it was returned.
        """
        order = np.array(image_ids, "S32")
        positions = self._index.rows(order)
        # Of an image that is not listed, the size does not matter.
        ends = np.cumsum(self._size[positions]) if len(self._size) else np.zeros(len(order), np.int64)
        ahead: dict[str, bytes | None] = {}
        place = {image_id: index for index, image_id in enumerate(image_ids)}
        start = 0

        def fetch(wanted: Sequence[str]) -> list[bytes | None]:
            nonlocal start
            last = max((place.get(image_id, -1) for image_id in wanted), default=-1) + 1
            if last > start:
                before = ends[start - 1] if start else 0
                stop = max(last, int(np.searchsorted(ends, before + MAX_BYTES_AHEAD, side="right")))
                ahead.update(zip(image_ids[start:stop], self._fetch_at(positions[start:stop]), strict=True))
                start = stop
            found = {image_id: ahead.pop(image_id) for image_id in dict.fromkeys(wanted) if image_id in ahead}
            missing = [image_id for image_id in dict.fromkeys(wanted) if image_id not in found]
            found.update(zip(missing, self.fetch(missing), strict=True))
            return [found[image_id] for image_id in wanted]

        return fetch

    def _fetch_at(self, positions: np.ndarray) -> list[bytes | None]:
        """Fetch images by their index among all positions, int64 [n]; -1 gives None."""
        found: list[bytes | None] = [None] * len(positions)
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        for index, (kind, manifest) in enumerate(self._sets):
            chosen = np.flatnonzero((owner == index) & (positions >= 0))
            if len(chosen):
                of_set = [(int(self._row[at]), int(self._image[at])) for at in positions[chosen]]
                fetched = self._source.fetch(kind, manifest.partition, of_set)
                for slot, data in zip(chosen.tolist(), fetched, strict=True):
                    found[slot] = data
        return found
