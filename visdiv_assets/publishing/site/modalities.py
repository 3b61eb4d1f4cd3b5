"""The page on leaks across modalities: text of benchmarks in images, and text of benchmark images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition, ImageRef
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import row_strings, row_texts
from visdiv_assets.duplicates.text_verdicts import read_texts_of
from visdiv_assets.imaging.marked_boxes import mark_boxes
from visdiv_assets.publishing.site.page_model import (
    ROWS_SHOWN,
    Entry,
    Grid,
    Group,
    Heading,
    Page,
    Section,
    count,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.sources import Kind
from visdiv_assets.texts.containment import matching_lines
from visdiv_assets.texts.ocr.interface import ReadText, no_text
from visdiv_assets.wording import several

#: Matches that are shown with their images, and listed.
SHOWN = 40

_RATES = f"""
SELECT * FROM image_text_leak_rates ORDER BY found > 0 DESC NULLS LAST, rate DESC NULLS LAST, subset, benchmark, kind
LIMIT {ROWS_SHOWN}
"""
#: Of each text of a benchmark the best match of each kind and subset.
_BEST = f"""
SELECT * FROM image_text_leaks
QUALIFY row_number() OVER (
    PARTITION BY subset, kind, benchmark, benchmark_row, benchmark_image_index, benchmark_string
    ORDER BY share DESC, "row", image_index
) = 1
ORDER BY share DESC, ngrams DESC, subset, "row", image_index, benchmark, benchmark_row LIMIT {SHOWN}
"""
_COUNTED = "SELECT count(*) AS matches FROM image_text_leaks"
_RATES_COUNTED = """
SELECT count(*) FILTER (found > 0) AS found, count(compared) AS compared, count(*) AS rates FROM image_text_leak_rates
"""

_WORDS = {
    "text_in_image": "a text of the benchmark stands in a training image",
    "image_in_text": "the text of a benchmark image stands in a training text",
    "image_in_image": "the text of a benchmark image stands in a training image",
}

_MARKED = "Boxes are the lines of text that were read; those in red stand in the other text."

_INTRODUCTION = (
    "Texts of a benchmark that stand in training images, and text of its images that stands in training data. The text "
    "in images was read (OCR), so that a page set again in another font is found, which no comparison of images does."
)


def page(corpus: Corpus) -> Page:
    """Make the page: rates of subsets and benchmarks, and the matches with the boxes that matched."""
    rates = corpus.warehouse.rows_of("image_text_leak_rates", _RATES)
    if not any(row["compared"] is not None for row in rates):
        nothing = (
            "No text in images was compared with a benchmark: run `visdiv run --all --ocr`, with benchmarks in the "
            "source."
        )
        return Page("modalities.html", "Leaks across modalities", _INTRODUCTION, [Section("Rates", nothing=nothing)])
    (of_all,) = corpus.warehouse.rows(_RATES_COUNTED)
    sections = [Section("Rates", grids=[_rates(rates, of_all)])]
    if best := corpus.warehouse.rows_of("image_text_leaks", _BEST):
        (counted,) = corpus.warehouse.rows(_COUNTED)
        about = f"{several(counted['matches'], 'match', 'matches')}; {len(best)} shown, the closest first."
        sections.append(Section("Evidence", [about, _MARKED], groups=_groups(corpus, best)))
    else:
        sections.append(Section("Evidence", ["No text of a benchmark was found."]))
    return Page("modalities.html", "Leaks across modalities", _INTRODUCTION, sections)


def _rates(rows: list[dict[str, Any]], of_all: dict[str, Any]) -> Grid:
    headings = [
        Heading("Subset"),
        Heading("Benchmark"),
        Heading("What is found"),
        Heading("Found", "Images that were read, or rows with texts, in which a text of the benchmark stands."),
        Heading("Compared", "Images that were read, or rows with texts; none if nothing was compared."),
        Heading("Rate", "Found / compared, with the 95 % interval."),
        Heading("Of the benchmark", "Share of the benchmark's texts that were found, with the 95 % interval."),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(row["benchmark"]),
            Entry(_WORDS[row["kind"]]),
            count(row["found"]),
            count(row["compared"]),
            share(row["rate"], row["ci_low"], row["ci_high"]),
            share(row["benchmark_rate"], row["benchmark_ci_low"], row["benchmark_ci_high"]),
        ]
        for row in rows
    ]
    title = f"Rates: {of_all['found']:,} of {of_all['compared']:,} are not 0"
    if missing := of_all["rates"] - of_all["compared"]:
        title = f"{title}; {missing:,} were not computed"
    return Grid(title, headings, table, opened=True)


def _groups(corpus: Corpus, best: list[dict[str, Any]]) -> list[Group]:
    texts = _read_texts(corpus, best)
    return [_group(corpus, match, texts) for match in best]


def _read_texts(corpus: Corpus, best: list[dict[str, Any]]) -> dict[str, ReadText]:
    """Return the text of the images of all matches by image_id; what was read of a subset or benchmark is read once."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for match in best:
        for table, name, image_id in (
            (LakeTable.IMAGE_TEXTS, match["subset"], match["image_id"]),
            (LakeTable.BENCHMARK_IMAGE_TEXTS, match["benchmark"], match["benchmark_image_id"]),
        ):
            if image_id is not None:
                wanted.setdefault((table, name), []).append(image_id)
    texts: dict[str, ReadText] = {}
    for (table, name), image_ids in wanted.items():
        texts |= read_texts_of(corpus.lake, [corpus.lake.require(table, name)], image_ids)
    return texts


def _group(corpus: Corpus, match: dict[str, Any], texts: Mapping[str, ReadText]) -> Group:
    trained = _Side.of(
        corpus, texts, Kind.SUBSET, match["subset"], match["row"], match["image_index"], match["image_id"]
    )
    tested = _Side.of(
        corpus,
        texts,
        Kind.BENCHMARK,
        match["benchmark"],
        match["benchmark_row"],
        match["benchmark_image_index"],
        match["benchmark_image_id"],
    )
    if match["benchmark_string"] is not None:
        # Strings are counted with the empty ones, which `row_strings` leaves out: the stored excerpt tells which it is.
        strings = row_strings(corpus.lake, match["benchmark"], match["benchmark_row"])
        tested.lines = [text for text in strings if text.startswith(match["excerpt"])][:1] or [match["excerpt"]]
    images = [side.shown(corpus, other.lines) for side, other in ((trained, tested), (tested, trained))]
    heading = f"{match['benchmark']} in {match['subset']}: {_WORDS[match['kind']]}"
    about = (
        f"{match['ngrams_matched']:,} of {match['ngrams']:,} n-grams of "
        f"the text of row {match['benchmark_row']:,} of the benchmark stand in row {match['row']:,} of the subset. The "
        f"text: {match['excerpt']}"
    )
    return Group(heading, about, [image for image in images if image is not None])


class _Side:
    """One side of a match: an image with its boxes, or a text."""

    def __init__(
        self, kind: Kind, position: ImagePosition | None, corners: list[list[float]], lines: list[str]
    ) -> None:
        self.kind, self.position, self.corners, self.lines = kind, position, corners, lines

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        texts: Mapping[str, ReadText],
        kind: Kind,
        name: str,
        row: int,
        image_index: int | None,
        image_id: str | None,
    ) -> _Side:
        """Return an image with its boxes; without an image_id, the texts of a row of a subset."""
        if image_index is None or image_id is None:
            lines = [row_texts(corpus.lake, name, [row])[row]] if kind is Kind.SUBSET else []
            return cls(kind, None, [], lines)
        text = texts.get(image_id, no_text())
        corners = text.boxes.reshape(-1, 8).tolist()
        return cls(kind, ImagePosition(name, row, image_index, image_id), corners, text.texts)

    def shown(self, corpus: Corpus, others: list[str]) -> ImageRef | None:
        """Return the image with its boxes marked; None for a text, or without images."""
        if self.position is None or corpus.images is None:
            return None
        image = corpus.images.read(self.kind, [self.position])[self.position]
        matched = matching_lines(self.lines, others)
        note = f"{sum(matched):,} of {several(len(matched), 'line')} matched"
        return replace(image, preview=mark_boxes(image.preview, self.corners, matched), note=note)
