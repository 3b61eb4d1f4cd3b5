"""The images of a corpus as files of one folder, which is what other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from visdiv_assets.imaging.formats import sniff
from visdiv_assets.imaging.listing import image_bytes
from visdiv_assets.sources import Kind, Source


class Position(NamedTuple):
    """An image of a corpus.

    Attributes:
        name: its subset or benchmark; no two of a corpus have the same name.
        row: its row there.
        image_index: which image of the row.
    """

    name: str
    row: int
    image_index: int


def write_images(source: Source, folder: Path) -> dict[str, Position]:
    """Write all images of a source, with their encoded bytes, to files whose names say nothing about them.

    Returns:
        The position of each file by its name.
    """
    positions: dict[str, Position] = {}
    for kind, names in ((Kind.SUBSET, source.subsets()), (Kind.BENCHMARK, source.benchmarks())):
        for name in names:
            row = 0
            for shard in source.shards(kind, name):
                for batch in source.batches(kind, name, shard, columns=["images"]):
                    rows, indices, encoded, _ = image_bytes(batch)
                    for place, index, scalar in zip(rows.tolist(), indices.tolist(), encoded, strict=True):
                        if data := scalar.as_py():
                            file = f"{len(positions):07d}.{_extension(data)}"
                            (folder / file).write_bytes(data)
                            positions[file] = Position(name, row + place, index)
                    row += batch.num_rows
    return positions


def _extension(data: bytes) -> str:
    """Return the extension of a format, since some tools choose files by it."""
    name = sniff(data) or "bin"
    return {"jpeg": "jpg"}.get(name, name)
