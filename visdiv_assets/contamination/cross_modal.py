"""Find leaks across modalities: texts of a benchmark in training images, and text of its images in training data.

Text contamination compares the questions and answers of both. What is found here stands, on one side at least, in an
image: a question that was drawn into a training image, or a page of the benchmark whose text is a training text or was
set again with another font, which no comparison of images finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.texts import MAX_TEXTS_OF_A_RUN
from visdiv_assets.statistics import wilson_interval
from visdiv_assets.texts.containment import WantedTexts, find_contained, merge_wanted

#: What of a benchmark stands in what of a subset.
TEXT_IN_IMAGE, IMAGE_IN_TEXT, IMAGE_IN_IMAGE = "text_in_image", "image_in_text", "image_in_image"
KINDS = (TEXT_IN_IMAGE, IMAGE_IN_TEXT, IMAGE_IN_IMAGE)

#: Characters of a matched text that are stored.
EXCERPT = 300

#: What is looked for: the strings of a benchmark, and the texts of its images (with the image that each is of).
WANTED_SCHEMA = pa.schema(
    [
        ("benchmark_row", pa.int64()),
        ("benchmark_image_index", pa.int32()),
        ("benchmark_image_id", pa.string()),
        ("benchmark_string", pa.int32()),
        ("text", pa.string()),
    ]
)
#: Where it is looked for: images of a subset, whose turn is null, or rows, whose image is null.
TRAINING_SCHEMA = pa.schema(
    [("row", pa.int64()), ("image_index", pa.int32()), ("image_id", pa.string()), ("text", pa.string())]
)
MATCHES_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("benchmark", pa.string()),
        ("benchmark_row", pa.int64()),
        ("benchmark_image_index", pa.int32()),
        ("benchmark_image_id", pa.string()),
        ("benchmark_string", pa.int32()),
        ("ngrams", pa.int32()),
        ("ngrams_found", pa.int32()),
        ("share", pa.float32()),
        ("excerpt", pa.string()),
    ]
)
RATES_SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("kind", pa.string()),
        ("compared", pa.int64()),
        ("found", pa.int64()),
        ("rate", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("benchmark_compared", pa.int64()),
        ("benchmark_found", pa.int64()),
        ("benchmark_rate", pa.float64()),
        ("benchmark_ci_low", pa.float64()),
        ("benchmark_ci_high", pa.float64()),
    ]
)


class Wanted(NamedTuple):
    """The texts of a benchmark, of its strings or of its images.

    Attributes:
        benchmark: its name.
        of_images: whether they were read from its images.
        about: table of `WANTED_SCHEMA`, a row per text.
        hashed: their n-grams.
    """

    benchmark: str
    of_images: bool
    about: pa.Table
    hashed: WantedTexts

    @classmethod
    def of(cls, benchmark: str, texts: pa.Table, *, of_images: bool) -> Wanted:
        """Hash the texts of a benchmark, a table of `WANTED_SCHEMA`; those too short to be looked for are kept out."""
        hashed = WantedTexts.of(texts["text"], max_texts=MAX_TEXTS_OF_A_RUN)
        return cls(benchmark, of_images, texts, hashed)

    @property
    def compared(self) -> int:
        """Return the number of its texts that are long enough to be looked for."""
        return int((self.hashed.ngrams > 0).sum())


def find_matches(training: Iterable[pa.Table], wanted: Sequence[Wanted], *, of_images: bool) -> Iterator[pa.Table]:
    """Yield the texts of benchmarks that stand in training data: tables of `MATCHES_SCHEMA`.

    Args:
        training: tables of `TRAINING_SCHEMA`.
        wanted: the texts of benchmarks; strings are not looked for in texts, which text contamination does.
        of_images: whether the training texts were read from images.
    """
    looked_for = [each for each in wanted if of_images or each.of_images]
    if not looked_for:
        return
    hashed = merge_wanted([each.hashed for each in looked_for])
    about = pa.concat_tables([each.about for each in looked_for])
    sizes = [each.about.num_rows for each in looked_for]
    benchmark = pa.array([each.benchmark for each in looked_for]).take(
        pa.array(np.repeat(np.arange(len(sizes)), sizes))
    )
    in_image = pa.array(np.repeat([each.of_images for each in looked_for], sizes))
    kinds = pc.if_else(in_image, IMAGE_IN_IMAGE if of_images else IMAGE_IN_TEXT, TEXT_IN_IMAGE)
    for part in training:
        found = find_contained(part["text"], hashed)
        of_part, of_wanted = part.take(found["text"]), about.take(found["wanted"])
        columns = {name: of_part[name] for name in ("row", "image_index", "image_id")}
        columns |= {name: of_wanted[name] for name in WANTED_SCHEMA.names if name != "text"}
        columns |= {name: found[name] for name in ("ngrams", "ngrams_found", "share")}
        columns["kind"], columns["benchmark"] = kinds.take(found["wanted"]), benchmark.take(found["wanted"])
        columns["excerpt"] = pc.utf8_slice_codeunits(of_wanted["text"], 0, EXCERPT)
        yield pa.table([columns[name] for name in MATCHES_SCHEMA.names], schema=MATCHES_SCHEMA)


def rates(found: pa.Table, benchmarks: Sequence[str], wanted: Sequence[Wanted], *, images: int, rows: int) -> pa.Table:
    """Compute how much of a subset has text of each benchmark, and how much of the benchmark is in the subset.

    Args:
        found: table of `MATCHES_SCHEMA`.
        benchmarks: names of all benchmarks.
        wanted: what was looked for.
        images: number of images of the subset that were read.
        rows: number of rows of the subset with texts.

    Returns:
        table of `RATES_SCHEMA`, by benchmark and kind, with Wilson intervals at 95 %. Compared are the images that
        were read, or rows, and the texts of the benchmark that are long enough. Null is what was not compared: a
        benchmark whose images were not read, a subset without images.
    """
    texts = {(each.benchmark, each.of_images): each.compared for each in wanted}
    records = []
    for name in sorted(benchmarks):
        for kind in KINDS:
            compared = rows if kind == IMAGE_IN_TEXT else images
            looked_for = texts.get((name, kind != TEXT_IN_IMAGE), 0)
            record: dict[str, object] = {"benchmark": name, "kind": kind}
            if compared and looked_for:
                of_kind = found.filter(pc.and_(pc.equal(found["benchmark"], name), pc.equal(found["kind"], kind)))
                record |= _rate(_distinct(of_kind, "row", "image_index"), compared, "")
                leaked = _distinct(of_kind, "benchmark_row", "benchmark_image_index", "benchmark_string")
                record |= _rate(leaked, looked_for, "benchmark_")
            records.append(record)
    return pa.Table.from_pylist(records, schema=RATES_SCHEMA)


def _rate(found: int, compared: int, side: str) -> dict[str, object]:
    low, high = wilson_interval(found, compared)
    named = {"compared": compared, "found": found, "rate": found / compared, "ci_low": low, "ci_high": high}
    return {f"{side}{name}": value for name, value in named.items()}


def _distinct(table: pa.Table, *names: str) -> int:
    count: int = table.group_by(list(names)).aggregate([]).num_rows
    return count
