"""Single images out of the Parquet files of a subset, wherever those lie."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import parquet
from visdiv_assets.sources.interface import Kind


def fetch(
    uri: str,
    kind: Kind,
    name: str,
    rows: Sequence[int],
    opened: Callable[[int], AbstractContextManager[parquet.Place]],
    positions: Sequence[tuple[int, int]],
) -> list[bytes | None]:
    """Encoded bytes of single images; see `interface.Source.fetch`.

    Args:
        uri: the source, for messages.
        kind: subset or benchmark.
        name: its name.
        rows: rows of each of its files, in order.
        opened: gives the file of a number for as long as it is read.
        positions: (row, image_index) pairs.
    """
    starts = [0, *accumulate(rows)]
    wanted: dict[int, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for slot, (row, image_index) in enumerate(positions):
        if not 0 <= row < starts[-1]:
            raise SourceError(f"{kind.value}/{name} in {uri} has no row {row}: it has {starts[-1]} rows")
        number = bisect_right(starts, row) - 1
        wanted[number][row - starts[number]].append((image_index, slot))
    answers: list[bytes | None] = [None] * len(positions)
    for number, asked in wanted.items():
        with opened(number) as place:
            for row, entries in parquet.images(place, kind, asked):
                encoded = entries.field("bytes")
                for image_index, slot in asked[row]:
                    if not 0 <= image_index < len(encoded):
                        raise SourceError(
                            f"row {starts[number] + row} of {kind.value}/{name} in {uri} has no image "
                            f"{image_index}: it has {len(encoded)}"
                        )
                    answers[slot] = encoded[image_index].as_py()
    return answers
