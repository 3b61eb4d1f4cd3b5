"""Small datasets of the library `datasets` that the tests make."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from visdiv_assets.sources import COLUMNS, Kind, Source

FEATURES = datasets.Features(
    {"photo": datasets.Image(), "caption": datasets.Value("string"), "label": datasets.ClassLabel(names=["cat", "dog"])}
)


def png(side: int) -> bytes:
    """A PNG file of a black square."""
    stream = io.BytesIO()
    Image.new("RGB", (side, side)).save(stream, "PNG")
    return stream.getvalue()


def make_dataset(sides: Sequence[int | None]) -> Any:
    """A dataset with one image per row, of the given sides in pixels, and none where the side is None."""
    return datasets.Dataset.from_dict(
        {
            "photo": [None if side is None else {"bytes": png(side), "path": f"{side}.png"} for side in sides],
            "caption": [f"a square of {side}" for side in sides],
            "label": [index % 2 for index in range(len(sides))],
        },
        features=FEATURES,
    )


def save(dataset: Any, folder: Path, **options: Any) -> Path:
    """Write a dataset with `save_to_disk`; returns its folder."""
    datasets.disable_progress_bars()
    dataset.save_to_disk(str(folder), **options)
    return folder


def read(source: Source, name: str, columns: tuple[str, ...] = COLUMNS, batch_rows: int = 64) -> list[dict[str, Any]]:
    """All rows of a subset, after a look at the sizes of the batches."""
    batches = [
        batch
        for shard in source.shards(Kind.SUBSET, name)
        for batch in source.batches(Kind.SUBSET, name, shard, columns=columns, batch_rows=batch_rows)
    ]
    assert all(batch.num_rows <= batch_rows for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()]


def images_of(sides: Sequence[int | None]) -> list[list[dict[str, Any]]]:
    """The normalized images of the rows that `make_dataset` makes."""
    return [[] if side is None else [{"bytes": png(side), "path": f"{side}.png"}] for side in sides]
