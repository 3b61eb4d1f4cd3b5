"""Prepare the evidence of pairs for the template: drawings, their styles, and sentences about them."""

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
from visdiv_assets.wording import several

#: Longer side of a drawing on the page, in CSS pixels.
_SIDE = 320

#: Drawings smaller than this are enlarged without interpolation, so that single pixels stay visible.
_TINY = 80

_CAPTION = 300


@dataclass(frozen=True, slots=True)
class View:
    """One image of the evidence.

    Attributes:
        name: its CSS classes.
        heading: text above it.
        alternative: text for screen readers.
    """

    name: str
    heading: Text
    alternative: str


@dataclass(frozen=True, slots=True)
class DrawnPair:
    """The evidence of a pair: a caption and two or three images."""

    caption: Text
    views: Sequence[View]


def drawn_pairs(report: Report, shown: Sequence[PairEntry]) -> tuple[list[DrawnPair | None], str]:
    """Prepare the evidence of the pairs that `pair_selection.drawn` chooses; others have none, to keep the page small.

    Args:
        report: the report, for its headings.
        shown: the pairs of the page.

    Returns:
        the evidence of each pair (None if it is not drawn), and the style sheet that holds each image once.
    """
    chosen = drawn([pair.similarity for pair in shown], [pair.verified for pair in shown])
    styles: dict[str, tuple[str, str]] = {}
    result: list[DrawnPair | None] = []
    for index, pair in enumerate(shown):
        if pair.aligned is None or index not in chosen:
            result.append(None)
            continue
        result.append(DrawnPair(text_cells.shorten(pair.aligned.caption, shown=_CAPTION), _views(report, pair, styles)))
    return result, "\n".join(rule for _, rule in styles.values())


def drawn_sentence(shown: Sequence[PairEntry], evidence: Sequence[DrawnPair | None]) -> str:
    """Return a sentence that says which pairs have their evidence drawn; empty if none has."""
    parts = []
    for verified, kind, end in ((True, "confirmed", "lowest"), (False, "rejected", "highest")):
        there = sum(pair.verified is verified for pair in shown)
        views = [view for pair, view in zip(shown, evidence, strict=True) if pair.verified is verified]
        count = sum(view is not None for view in views)
        if count:
            where = "on this page" if there <= DRAWN else f"of {end} similarity"
            readable = " that can be read" if count < min(there, DRAWN) else ""
            parts.append(f"the {several(count, f'{kind} one')} {where}{readable}")
    return f"The evidence is drawn for these pairs: {' and '.join(parts)}." if parts else ""


def _views(report: Report, pair: PairEntry, styles: dict[str, tuple[str, str]]) -> list[View]:
    view = pair.aligned
    assert view is not None
    left, right = text_cells.shorten(report.left_heading, shown=60, full=0), report.right_heading
    over = f"{right}, registered" if view.marked is not None else f"{right}, not registered"
    alternative = f"{_name(pair.right)}, warped onto the frame of the other image; gray outside it"
    views = [
        View(_class(view.left, view.size, styles), left, f"{_name(pair.left)}, in its own frame"),
        View(
            _class(view.right, view.right_size, styles),
            text_cells.shorten(over, shown=90, full=0),
            alternative if view.marked is not None else f"{_name(pair.right)}, in its own frame",
        ),
    ]
    if view.marked is not None:
        views.append(
            View(_class(view.marked, view.size, styles), Text(_heading(view, pair.verified)), _alternative(view, pair))
        )
    return views


def _heading(view: AlignedView, confirmed: bool | None) -> str:
    if view.disagreeing:
        return "Regions that disagree, in magenta"
    # The whole images were compared; the drawing compares their thumbnails.
    return "No region disagrees" if confirmed else "The difference is too small for a thumbnail"


def _alternative(view: AlignedView, pair: PairEntry) -> str:
    found = f"{percent(view.disagreeing)} of it disagrees and is marked in magenta" if view.disagreeing else "no mark"
    return f"{_name(pair.left)}, darkened: {found}"


def _name(side: ImageRef) -> str:
    return f"Image of {text_cells.clean(side.place, text_cells.SHOWN)}, row {side.row}, image {side.image_index}"


def _class(data: bytes, size: tuple[int, int], styles: dict[str, tuple[str, str]]) -> str:
    """Return the CSS classes of an image, and add a rule for it if it is new on the page."""
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
