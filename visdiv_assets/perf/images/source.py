"""The generated source: subsets and benchmarks of one kind of image each, with edited copies planted in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from visdiv_assets.duplicates.calibration.copies import make_copy
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.perf.images.drawing import CHART, PAGE, PHOTO, draw, encode
from visdiv_assets.perf.rehearsal.plan import proportional
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources import SCHEMA, Kind
from visdiv_assets.threads import ordered_map, thread_count

#: Subsets by kind of image, and the images of each benchmark.
SUBSETS = {PHOTO: 10, CHART: 5, PAGE: 5}
BENCHMARKS = {PHOTO: 300, CHART: 200, PAGE: 200}

#: Minimum number of images in a rehearsal.
MIN_IMAGES = 400

#: Number of planted copies as a share of the images of a subset: of its own images, of those of another subset of the
#: same kind, and of the benchmark of that kind.
WITHIN, ACROSS, LEAKED = 0.01, 0.005, 0.005

#: The edits of copies, at mild strength.
EDITS = {
    PHOTO: ("jpeg", "scale", "crop", "color_jitter", "caption", "emoji", "mirror"),
    CHART: ("jpeg", "scale", "pad"),
    PAGE: ("jpeg", "scale", "pad"),
}

ROWS_OF_A_SHARD, ROWS_OF_A_GROUP = 500, 100

PLANTED_SCHEMA = pa.schema(
    [
        ("place", pa.string()),
        ("image_kind", pa.string()),
        ("edit", pa.string()),
        ("set_a", pa.string()),
        ("set_b", pa.string()),
        ("image_id_a", pa.string()),
        ("image_id_b", pa.string()),
    ]
)


class Drawn(NamedTuple):
    """An image to be drawn: the kind and seed of the original, and the edit; an empty one leaves it as it is."""

    kind: str
    seed: int
    edit: str = ""


@dataclass(frozen=True)
class ImageSet:
    """A subset or benchmark.

    Attributes:
        kind: which of the two.
        name: its name.
        image_kind: the kind of its images.
        images: its images, one for each row.
    """

    kind: Kind
    name: str
    image_kind: str
    images: list[Drawn]


class Planted(NamedTuple):
    """A planted copy: where both images are, and the images."""

    place: str
    set_a: str
    set_b: str
    copy: Drawn
    original: Drawn


def plan_sets(images: int, seed: int = 0) -> tuple[list[ImageSet], list[Planted]]:
    """Choose the images of all sets, and the copies among them.

    Args:
        images: number of images in all subsets.
        seed: of the choice.

    Raises:
        InputError: the number is less than `MIN_IMAGES`.
    """
    if images < MIN_IMAGES:
        raise InputError(f"{images} images are too few for {sum(SUBSETS.values())} subsets: name {MIN_IMAGES} or more")
    random = np.random.default_rng(seed)
    kinds = [(kind, index) for kind, count in SUBSETS.items() for index in range(count)]
    sizes = proportional(images, [round(1000 / 1.5**index) for _, index in kinds], MIN_IMAGES // len(kinds) // 2)
    sets: list[ImageSet] = []
    seeds = 0
    for kind, count in BENCHMARKS.items():
        sets.append(ImageSet(Kind.BENCHMARK, f"{kind}_test", kind, _originals(kind, seeds, count)))
        seeds += count
    for (kind, index), count in zip(kinds, sizes, strict=True):
        sets.append(ImageSet(Kind.SUBSET, f"{kind}_{index:02d}", kind, _originals(kind, seeds, count)))
        seeds += count
    return sets, _plant(sets, random)


def _originals(kind: str, first: int, count: int) -> list[Drawn]:
    return [Drawn(kind, seed) for seed in range(first, first + count)]


def _plant(sets: Sequence[ImageSet], random: np.random.Generator) -> list[Planted]:
    """Replace images by copies of others; an image takes part in one pair at most."""
    free = {each.name: list(random.permutation(len(each.images))) for each in sets}
    planted = []
    for target in sets:
        if target.kind is Kind.BENCHMARK:
            continue
        others = [each for each in sets if each.image_kind == target.image_kind and each is not target]
        subsets = [each for each in others if each.kind is Kind.SUBSET]
        benchmarks = [each for each in others if each.kind is Kind.BENCHMARK]
        for place, share, origins in (
            ("within", WITHIN, [target]),
            ("across", ACROSS, subsets),
            ("benchmark", LEAKED, benchmarks),
        ):
            for _ in range(max(1, round(share * len(target.images)))):
                origin = origins[int(random.integers(len(origins)))]
                if not free[target.name] or not free[origin.name] or len(free[target.name]) < 2:
                    continue
                copy, source = int(free[target.name].pop()), int(free[origin.name].pop())
                edits = EDITS[target.image_kind]
                original = origin.images[source]
                edited = original._replace(edit=edits[int(random.integers(len(edits)))])
                target.images[copy] = edited
                planted.append(Planted(place, target.name, origin.name, edited, original))
    return planted


def make(drawn: Drawn) -> bytes:
    """Draw and encode an image."""
    from PIL import Image

    pixels = draw(drawn.kind, drawn.seed)
    if drawn.edit:
        pixels = np.asarray(make_copy(Image.fromarray(pixels), drawn.edit, "mild", drawn.seed))
    return encode(drawn.kind, pixels)


def write_source(
    folder: Path, sets: Sequence[ImageSet], planted: Sequence[Planted], progress: Progress = silent
) -> pa.Table:
    """Write all sets as Parquet files in FineVision's columns.

    Args:
        folder: the source.
        sets: its subsets and benchmarks.
        planted: the copies in them.
        progress: called with the number of images written.

    Returns:
        the planted pairs, table of `PLANTED_SCHEMA`.
    """
    import cv2

    cv2.setNumThreads(1)
    wanted = {drawn for each in planted for drawn in (each.copy, each.original)}
    ids: dict[Drawn, str] = {}
    for each in sets:
        path = folder / each.kind.value / each.name
        path.mkdir(parents=True)
        shards = range(0, len(each.images), ROWS_OF_A_SHARD)
        for number, start in enumerate(shards):
            drawn = each.images[start : start + ROWS_OF_A_SHARD]
            made = ordered_map(make, drawn, threads=thread_count(0))
            with pq.ParquetWriter(path / f"train-{number:05d}-of-{len(shards):05d}.parquet", SCHEMA) as writer:
                for rows in _groups(drawn, made):
                    ids |= {image: image_id(data) for image, data in rows if image in wanted}
                    writer.write_table(_table(each, rows))
                    progress(len(rows))
    pairs = [
        (each.place, each.copy.kind, each.copy.edit, each.set_a, each.set_b, ids[each.copy], ids[each.original])
        for each in planted
    ]
    return pa.Table.from_pylist([dict(zip(PLANTED_SCHEMA.names, row, strict=True)) for row in pairs], PLANTED_SCHEMA)


def _groups(drawn: Sequence[Drawn], made: Iterator[bytes]) -> Iterator[list[tuple[Drawn, bytes]]]:
    for start in range(0, len(drawn), ROWS_OF_A_GROUP):
        yield [(image, next(made)) for image in drawn[start : start + ROWS_OF_A_GROUP]]


def _table(of_set: ImageSet, rows: Sequence[tuple[Drawn, bytes]]) -> pa.Table:
    records = [
        {
            "images": [{"bytes": data, "path": None}],
            "texts": [
                {"user": f"What does {of_set.image_kind} {image.seed} show?", "assistant": f"Number {image.seed}."}
            ],
            "source": "rehearsal",
        }
        for image, data in rows
    ]
    return pa.Table.from_pylist(records, SCHEMA)
