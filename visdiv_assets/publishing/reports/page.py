"""Render a report as one HTML file.

The page makes no requests: its Content-Security-Policy forbids them and allows only the script and the styles whose
digests it names, so that a text that were not escaped could neither run nor load anything. An image is the background
of a CSS class. It is therefore embedded once even if several pairs show it, and is visible without JavaScript, which
only sorts, filters, and keeps what a person says of the pairs. A pair is a card with its two images, its verdict and
the numbers that one looks at first; everything else is in a disclosure of the card.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.imaging import thumbnails
from visdiv_assets.imaging.thumbnails import Preview, Thumbnail
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, template, write_page
from visdiv_assets.publishing.reports import badges, evidence_html
from visdiv_assets.publishing.reports.model import SIMILARITY, PairEntry, Report
from visdiv_assets.publishing.reports.pair_selection import DRAWN
from visdiv_assets.publishing.site_head import SiteHead
from visdiv_assets.publishing.text_cells import Cell, Text
from visdiv_assets.wording import several

# Maximum characters of a heading of a column, of the title, and of a paragraph.
_HEADING = 60
_TITLE = 300
_PARAGRAPH = 5000

#: Index of the first value of a pair among the keys by which `page.js` sorts: after number, images and evidence.
_FIRST_VALUE = 4

#: Columns whose values are shown on the card itself.
_HIGHLIGHTS = (SIMILARITY, "confidence")


@dataclass(frozen=True, slots=True)
class _Image:
    """One side of a pair, for the template."""

    thumbnail: Thumbnail
    place: Text
    position: str
    file: str
    where: str
    image_id: Text
    note: Text
    key: str


def render(report: Report, head: SiteHead | None = None) -> str:
    """Render a report as HTML.

    The same report gives the same page. The page is smaller than 6 MB, or 10 MB with evidence: images that are hard to
    compress are reduced, long texts are shortened, and the evidence of at most 60 pairs is drawn.

    Args:
        report: the report. An unreadable image is shown as a gray box with the reason.
        head: what the head says of the dataset, with links to the site; None for a page on its own.

    Returns:
        the page; it can be encoded as UTF-8.
    """
    shown = report.pairs_shown()
    drawn = thumbnails.thumbnails(side.preview for pair in shown for side in (pair.left, pair.right))
    full = text_cells.full_length(_texts(shown))
    evidence, view_styles = evidence_html.drawn_pairs(report, shown)
    judged = any(pair.verdict is not None for pair in shown)
    # A dict keeps the order in which the names first occur.
    names = list(dict.fromkeys(name for pair in shown for name in pair.columns))
    styles = {
        "page": read_template("page.css"),
        "pairs": read_template("pairs.css"),
        "images": thumbnails.styles(drawn.values()),
        "views": view_styles,
    }
    scripts = [read_template("page.js")]
    if report.kind is not None:
        scripts += [read_template("marks.js"), read_template("report_marks.js")]
    return template("page.html").render(
        title=text_cells.clean(report.title, _TITLE),
        head=head,
        paragraphs=[text_cells.clean(part, _PARAGRAPH) for part in report.introduction.split("\n\n") if part.strip()],
        measured=[text_cells.clean(sentence, _PARAGRAPH) for sentence in report.measured if sentence.strip()],
        facts=[(text_cells.shorten(name), text_cells.shorten(value)) for name, value in report.facts.items()],
        table=report.table,
        cell=text_cells.cell,
        shorten=text_cells.shorten,
        left_heading=text_cells.shorten(report.left_heading, shown=_HEADING),
        right_heading=text_cells.shorten(report.right_heading, shown=_HEADING),
        sides_sentence=f"Left: {_lowered(report.left_heading)}. Right: {_lowered(report.right_heading)}.",
        columns=[_heading(name) for name in names],
        highlights=[_highlights(pair) for pair in shown],
        orders=_orders(report, shown, names, judged),
        pairs=[
            (_image(pair.left, drawn, full), _image(pair.right, drawn, full), _cells(pair, names, full))
            for pair in shown
        ],
        badges=[None if pair.verdict is None else badges.badge(pair.verdict) for pair in shown],
        judged=judged,
        verdicts=_verdicts(shown),
        legend=badges.legend(shown),
        evidence=evidence,
        drawn_sentence=evidence_html.drawn_sentence(shown, evidence),
        similarities=[None if pair.similarity is None else repr(pair.similarity) for pair in shown],
        sorted_by=_FIRST_VALUE + names.index(SIMILARITY) if any(pair.similarity is not None for pair in shown) else 0,
        count_sentence=_count_sentence(report, shown),
        slider=_slider(shown),
        kind=report.kind,
        styles=styles,
        scripts=scripts,
        policy=content_policy(styles.values(), *scripts),
    )


def write_report(report: Report, path: Path, head: SiteHead | None = None) -> int:
    """Write a report to a file in one atomic step.

    Args:
        report: the report.
        path: the file; its folder is created if needed.
        head: as in `render`.

    Returns:
        size of the file in bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    return write_page(render(report, head), path)


def _texts(pairs: Sequence[PairEntry]) -> Iterator[str]:
    for pair in pairs:
        yield pair.left.note
        yield pair.right.note
        yield from (value for value in pair.columns.values() if isinstance(value, str))


def _heading(name: str) -> str:
    """Return a heading for a column: `low_information` -> `Low information`."""
    words = name.replace("_", " ").strip()
    return text_cells.shorten(words[:1].upper() + words[1:], shown=_HEADING, full=0).shown


def _lowered(heading: str) -> str:
    return text_cells.clean(heading[:1].lower() + heading[1:], _HEADING)


def _orders(
    report: Report, pairs: Sequence[PairEntry], names: Sequence[str], judged: bool
) -> list[tuple[str, int, str]]:
    """Return the orders to choose from: name, index of the key in `page.js`, and the direction to begin with."""
    headings = (report.left_heading, report.right_heading)
    orders = [("Number", 0, "ascending")]
    orders += [(_heading(heading), index, "ascending") for index, heading in enumerate(headings, start=1)]
    orders += [("Evidence", _FIRST_VALUE - 1, "ascending")] if judged else []
    for index, name in enumerate(names, start=_FIRST_VALUE):
        texts = any(isinstance(pair.columns.get(name), str) for pair in pairs)
        orders.append((_heading(name), index, "ascending" if texts else "descending"))
    return orders


def _highlights(pair: PairEntry) -> list[tuple[str, Cell]]:
    return [(name, text_cells.cell(pair.columns[name])) for name in _HIGHLIGHTS if name in pair.columns]


def _image(side: ImageRef, drawn: dict[Preview, Thumbnail], full: int) -> _Image:
    return _Image(
        thumbnail=drawn[side.preview],
        place=text_cells.shorten(side.place),
        position=text_cells.row_position(side),
        file=text_cells.file_name(side),
        where=text_cells.position(side),
        image_id=text_cells.shorten(side.image_id),
        note=text_cells.shorten(side.note, full=full),
        key=f"{text_cells.clean(side.place, text_cells.SHOWN)} {side.row} {side.image_index}",
    )


def _cells(pair: PairEntry, names: Sequence[str], full: int) -> list[Cell]:
    return [text_cells.cell(pair.columns.get(name), full=full) for name in names]


def _count_sentence(report: Report, shown: Sequence[PairEntry]) -> str:
    if report.pairs_total == 0:
        return "There are no pairs."
    total = f"{several(report.pairs_total, 'pair')} in all"
    ranked = any(pair.similarity is not None for pair in shown)
    if len(shown) == report.pairs_total:
        return f"{total}, closest first." if ranked and len(shown) > 1 else f"{total}."
    if len(shown) < 2:
        return f"{total}. This page shows {'one' if shown else 'none'} of them."
    kinds = [pair.verified for pair in shown]
    if ranked and (True in kinds or False in kinds):
        counts = [min(DRAWN, kinds.count(verified)) for verified in (True, False)]
        special = [
            f"the {several(count, f'{kind} one')} of {end} similarity"
            for count, kind, end in zip(counts, ("confirmed", "rejected"), ("lowest", "highest"), strict=True)
            if count
        ]
        return (
            f"{total}. This page shows {len(shown)}: {', '.join(special)}, and the closest of the "
            "others; closest first."
        )
    which = f"the {len(shown)} closest ones, closest first" if ranked else f"{len(shown)} of them"
    return f"{total}. This page shows {which}."


def _verdicts(shown: Sequence[PairEntry]) -> list[tuple[str, str]]:
    """Return the verdicts to choose from, each with a description of the order; empty if the pairs have only one."""
    found = {pair.verdict.name for pair in shown if pair.verdict is not None}
    orders = {"confirmed": "least similar first", "rejected": "most similar first", "undecided": "most similar first"}
    return [(name, order) for name, order in orders.items() if name in found] if len(found) > 1 else []


def _slider(shown: Sequence[PairEntry]) -> tuple[str, str] | None:
    """Return the bounds of the slider with three decimals; None if all similarities are equal.

    They are rounded down, so that the closest pair is still shown at the end of the slider.
    """
    steps = [int(pair.similarity * 1000 // 1) for pair in shown if pair.similarity is not None]
    if not steps or min(steps) == max(steps):
        return None
    return f"{min(steps) / 1000:.3f}", f"{max(steps) / 1000:.3f}"
