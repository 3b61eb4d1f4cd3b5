"""The evidence of a page's pairs, as the template wants it: what is drawn, its styles, and sentences about it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.reports.badges import percent
from visdiv_assets.publishing.reports.model import AlignedView, PairEntry, Report
from visdiv_assets.publishing.reports.pair_selection import DRAWN, drawn
from visdiv_assets.publishing.text_cells import Text

#: Width or height of a view on the page, in CSS pixels, whichever is longer.
_SIDE = 320

#: Views smaller than this are enlarged so much that pixels are better shown as squares than as fog.
_TINY = 80

_CAPTION = 300


@dataclass(frozen=True, slots=True)
class View:
    """One image of the evidence.

    Attributes:
        name: its classes in the page.
        heading: what it is, above it.
        alternative: what it shows, for who cannot see it.
    """

    name: str
    heading: Text
    alternative: str


@dataclass(frozen=True, slots=True)
class DrawnPair:
    """The evidence of a pair: a caption and two or three views."""

    caption: Text
    views: Sequence[View]


def drawn_pairs(report: Report, shown: Sequence[PairEntry]) -> tuple[list[DrawnPair | None], str]:
    """Lay out the evidence of those pairs that `choice.drawn` chooses, so that a page stays small.

    Args:
        report: for its headings.
        shown: the pairs of the page.

    Returns:
        The evidence of each pair, None where none is drawn; and the style sheet with the images, each once.
    """
    chosen = drawn([pair.similarity for pair in shown], [pair.verified for pair in shown])
    styles: dict[str, tuple[str, str]] = {}
    result: list[DrawnPair | None] = []
    for number, pair in enumerate(shown):
        if pair.aligned is None or number not in chosen:
            result.append(None)
            continue
        result.append(DrawnPair(text_cells.shorten(pair.aligned.caption, shown=_CAPTION), _views(report, pair, styles)))
    return result, "\n".join(rule for _, rule in styles.values())


def drawn_sentence(shown: Sequence[PairEntry], evidence: Sequence[DrawnPair | None]) -> str:
    """Say for which pairs the evidence is drawn; empty if for none."""
    parts = []
    for verified, kind, end in ((True, "confirmed", "lowest"), (False, "refused", "highest")):
        there = sum(pair.verified is verified for pair in shown)
        views = [view for pair, view in zip(shown, evidence, strict=True) if pair.verified is verified]
        count = sum(view is not None for view in views)
        if count:
            where = "on this page" if there <= DRAWN else f"of {end} similarity"
            readable = " that can be read" if count < min(there, DRAWN) else ""
            parts.append(f"the {count} {kind} {'one' if count == 1 else 'ones'} {where}{readable}")
    return f"The evidence is drawn for these pairs: {' and '.join(parts)}." if parts else ""


def _views(report: Report, pair: PairEntry, styles: dict[str, tuple[str, str]]) -> list[View]:
    view = pair.aligned
    assert view is not None
    left, right = text_cells.shorten(report.left_heading, shown=60, full=0), report.right_heading
    over = f"{right}, laid over it" if view.marked is not None else f"{right}, not aligned"
    alternative = f"{_name(pair.right)}, warped onto the frame of the other; gray where it shows nothing"
    views = [
        View(_class(view.left, view.size, styles), left, f"{_name(pair.left)}, in its own frame"),
        View(
            _class(view.right, view.right_size, styles),
            text_cells.shorten(over, shown=90, full=0),
            alternative if view.marked is not None else f"{_name(pair.right)}, in its own frame",
        ),
    ]
    if view.marked is not None:
        views.append(View(_class(view.marked, view.size, styles), Text(_heading(view)), _alternative(view, pair)))
    return views


def _heading(view: AlignedView) -> str:
    return "What disagrees, in magenta" if view.disagreeing else "Nothing disagrees"


def _alternative(view: AlignedView, pair: PairEntry) -> str:
    found = f"{percent(view.disagreeing)} of it disagrees and is marked in magenta" if view.disagreeing else "no mark"
    return f"{_name(pair.left)}, darkened: {found}"


def _name(side: ImageRef) -> str:
    return f"Image of {text_cells.clean(side.place, text_cells.SHOWN)}, row {side.row}, image {side.image_index}"


def _class(data: bytes, size: tuple[int, int], styles: dict[str, tuple[str, str]]) -> str:
    """The classes of an image, with a rule for it added if it is the first time that the page shows it."""
    key = image_id(data)
    if key not in styles:
        name = f"v{len(styles)}"
        width = max(1, round(_SIDE * size[0] / max(size)))
        encoded = base64.b64encode(data).decode("ascii")
        rule = (
            f".{name}{{background-image:url(data:image/webp;base64,{encoded});"
            f"width:{width}px;aspect-ratio:{size[0]}/{size[1]}}}"
        )
        styles[key] = (name, rule)
    return f"view {styles[key][0]}{' tiny' if max(size) < _TINY else ''}"
