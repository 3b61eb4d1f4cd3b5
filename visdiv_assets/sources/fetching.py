"""Fetch single images of a subset from the files that hold its rows."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate

import pyarrow as pa

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.interface import Kind

#: Yields (row, struct<bytes, path> [images of the row]) for some rows of the file with an index, in row order.
ReadImages = Callable[[int, Collection[int]], Iterator[tuple[int, pa.Array]]]


def fetch(
    uri: str,
    kind: Kind,
    name: str,
    rows: Sequence[int],
    read_images: ReadImages,
    positions: Sequence[tuple[int, int]],
) -> list[bytes | None]:
    """Return the encoded bytes of single images; see `interface.Source.fetch`.

    Args:
        uri: the source, for messages.
        kind: subset or benchmark.
        name: its name.
        rows: rows of each of its files, in order.
        read_images: reads the images of some rows of one file; rows count from 0 in that file.
        positions: (row, image_index) pairs.

    Raises:
        SourceError: a position does not exist, or a file cannot be read.
    """
    starts = [0, *accumulate(rows)]
    wanted: dict[int, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for slot, (row, image_index) in enumerate(positions):
        if not 0 <= row < starts[-1]:
            raise SourceError(f"{kind.value}/{name} in {uri} has no row {row}: it has {starts[-1]} rows")
        file_index = bisect_right(starts, row) - 1
        wanted[file_index][row - starts[file_index]].append((image_index, slot))
    fetched: list[bytes | None] = [None] * len(positions)
    for file_index, asked in wanted.items():
        for row, images in read_images(file_index, asked):
            encoded = images.field("bytes")
            for image_index, slot in asked[row]:
                if not 0 <= image_index < len(encoded):
                    raise SourceError(
                        f"row {starts[file_index] + row} of {kind.value}/{name} in {uri} has no image "
                        f"{image_index}: it has {len(encoded)}"
                    )
                fetched[slot] = encoded[image_index].as_py()
    return fetched
