"""Parts of the page on quality that are found by rules: issues of images, poor texts, and personal data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import heat_maps
from visdiv_assets.publishing.site.page_model import (
    Chart,
    Entry,
    Grid,
    Heading,
    Section,
    count,
    number,
    percent,
    share,
)
from visdiv_assets.publishing.site.report_data import Warehouse
from visdiv_assets.texts.personal_data import KINDS
from visdiv_assets.wording import several

_IMAGE_ISSUES = """
SELECT subset, issue::VARCHAR AS issue, images AS found, share FROM image_issues ORDER BY subset, issue
"""

_TEXTS = """
SELECT subset, turns, empty_answers, refusals, repetitive, words_median, language, language_share
FROM text_quality_summary ORDER BY subset
"""
_ISSUES_OF_TEXTS = {"empty_answers": "empty answers", "refusals": "refusals", "repetitive": "repetitive answers"}

_PERSONAL = """
SELECT subset, kind::VARCHAR AS kind, "rows", share FROM personal_data_summary ORDER BY subset, kind
"""

_PERSONAL_IN_IMAGES = """
SELECT s.subset, k.kind, count(p.kind) AS images, count(p.kind) / nullif(s.images_read, 0) AS share
FROM image_text_summary s CROSS JOIN (SELECT unnest($kinds) AS kind) k
    LEFT JOIN image_personal_data p ON p.subset = s.subset AND p.kind::VARCHAR = k.kind
GROUP BY s.subset, k.kind, s.images_read ORDER BY s.subset, list_position($kinds, k.kind)
"""

_QUANTILES = """
SELECT subset, measure, p05, p25, p50, p75, p95 FROM quality_quantiles WHERE p50 IS NOT NULL
ORDER BY subset, table_name, measure
"""


def sections(warehouse: Warehouse) -> list[Section]:
    """Make the sections on images, texts, personal data and quantiles; a file of another release may lack some."""
    nothing = "No texts were measured. If rows have texts that are not empty, run `visdiv run --all`."
    # Only to be read if the table is there.
    measured = warehouse.has_rows("text_quality")
    personal = list(_of_personal_data(warehouse, measured))
    made = [
        Section("Images", charts=_of_images(warehouse) if warehouse.has_rows("images") else ()),
        _of_texts(warehouse) if measured else Section("Texts", nothing=nothing),
        Section("Personal data", charts=personal) if personal else Section("Personal data", nothing=nothing),
    ]
    if warehouse.has_rows("quality_quantiles"):
        made.append(Section("Quantiles", grids=[_quantiles(warehouse)]))
    return made


def _of_images(warehouse: Warehouse) -> list[Chart]:
    rows = warehouse.rows(_IMAGE_ISSUES)
    cells = [(row["subset"], _words(row["issue"]), row["found"], row["share"]) for row in rows]
    note = "The rules are those of CleanVision; image_quality in VISDIV_DROP drops rows by them."
    return [_chart("image-issues", "Share of the images with an issue", note, "images", cells)]


def _of_texts(warehouse: Warehouse) -> Section:
    rows = warehouse.rows(_TEXTS)
    cells = [
        (row["subset"], words, row[name], row[name] / row["turns"])
        for row in rows
        for name, words in _ISSUES_OF_TEXTS.items()
    ]
    note = "Repetitive: more than 15 % of the words are in 5-word n-grams that occur earlier in the answer."
    headings = [
        Heading("Subset"),
        Heading("Turns"),
        Heading("Words", "Median of the words of answers."),
        Heading("Language", "Most frequent language of the turns of 20 letters or more."),
        Heading("Turns in it", "Share of the turns with a language."),
    ]
    table = [
        [
            Entry(row["subset"]),
            count(row["turns"]),
            number(row["words_median"]),
            Entry(row["language"]),
            share(row["language_share"]),
        ]
        for row in rows
    ]
    chart = _chart("text-issues", "Share of the turns with a poor answer", note, "turns", cells)
    return Section("Texts", charts=[chart], grids=[Grid("Length and language by subset", headings, table, opened=True)])


def _of_personal_data(warehouse: Warehouse, measured: bool) -> Iterator[Chart]:
    """Yield a chart of the texts of rows, if they were measured, and one of the texts that were read in images."""
    if measured:
        cells = [
            (row["subset"], _words(row["kind"]), row["rows"], row["share"] or 0.0) for row in warehouse.rows(_PERSONAL)
        ]
        note = (
            "Found by patterns: some matches are wrong, and some data are missed. The table personal_data says where, "
            "not what."
        )
        yield _chart("personal", "Share of the rows with it", note, "rows", cells)
    if read := warehouse.rows_of("image_texts", _PERSONAL_IN_IMAGES, kinds=list(KINDS)):
        cells = [(row["subset"], _words(row["kind"]), row["images"], row["share"]) for row in read]
        note = "Of the images whose text was read, a sample by default. The table image_personal_data says where."
        yield _chart("personal-in-images", "Share of the images with it in their text", note, "images", cells)


def _quantiles(warehouse: Warehouse) -> Grid:
    shares = ("p05", "p25", "p50", "p75", "p95")
    headings = [Heading("Subset"), Heading("Measure"), *(Heading(name, f"Quantile 0.{name[1:]}.") for name in shares)]
    rows = [
        [Entry(row["subset"]), Entry(_words(row["measure"])), *(number(row[name], 2) for name in shares)]
        for row in warehouse.rows(_QUANTILES)
    ]
    return Grid("Measures of images and texts by subset", headings, rows)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _chart(name: str, heading: str, note: str, unit: str, cells: list[tuple[str, str, int, float | None]]) -> Chart:
    """Draw shares by subset and kind, with how many things of a unit they are."""
    kinds = list(dict.fromkeys(kind for _, kind, _, _ in cells))
    total = {kind: sum(found for _, other, found, _ in cells if other == kind) for kind in kinds}
    highest: dict[str, float] = {}
    for subset, _, _, part in cells:
        highest[subset] = max(highest.get(subset, 0.0), part or 0.0)
    subsets = sorted(highest, key=lambda subset: (-highest[subset], subset))
    drawn: dict[str, list[Any]] = {
        "subset": [subset for subset, _, _, _ in cells],
        "kind": [kind for _, kind, _, _ in cells],
        "value": [None if part is None else round(part, 6) for _, _, _, part in cells],
        "said": ["" if part is None else f"{percent(part)}: {found:,} {unit}" for _, _, found, part in cells],
    }
    counted = ", ".join(f"{kind} {found:,}" for kind, found in total.items())
    headings = [Heading("Subset"), Heading("Kind"), Heading(unit.capitalize()), Heading("Share")]
    return Chart(
        name,
        heading,
        f"{several(len(subsets), 'subset')}: {counted} {unit}. {note}",
        heat_maps.heat_map(
            subsets,
            kinds,
            row="subset",
            column="kind",
            title=f"share of the {unit} (gray: 0)",
            tooltip={"subset": "subset", "kind": "kind", "said": "share"},
        ),
        pa.table(drawn),
        Grid(
            f"{unit.capitalize()} by subset and kind",
            headings,
            [[Entry(subset), Entry(kind), count(found), share(part)] for subset, kind, found, part in cells],
        ),
    )
