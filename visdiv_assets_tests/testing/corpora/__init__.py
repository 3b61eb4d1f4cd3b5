"""Hard negatives: images that look alike and are no copies.

A kind (a bar chart, an invoice, a flag) has templates, a template has contents. The template fixes layout, sizes, fonts
and colors; the content is what a reader would look for: numbers, words, places, the colors of a flag. Two contents of
one template are look-alikes, and to call them copies is an error, however close their vectors are.

    draw("invoice", template=3, content=0)     # the same image whenever and wherever it is drawn
    draw("invoice", template=3, content=4)     # the same letterhead, another buyer, other lines
    draw("invoice", template=3, content=1)     # as content 0, with one line of it different

Contents come in groups of four. The first of a group (0, 4, 8, ...) is new throughout; the next three are that one with
one thing changed: one cell of a table, one word of a page, one bar, one label, one piece on a board. Both ways of being
alike are in `look_alikes`, an index from which images can be drawn when they are needed; `look_alike_pairs` draws
them. Two contents always differ visibly: with a long side of 480 pixels some window of 9 x 9 differs by more than 20
levels on average (the tests look).

The families are modules: `charts` (drawn with matplotlib), `diagrams`, `documents`, `screens` and `symbols` (with
Pillow). A new kind is a function of a template's `Random` and a `Content`, with a line in `_DRAWN`; it draws everything
that the content does not choose from the template's `Random`, in an order that the content does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from PIL.Image import Image

from visdiv_assets_tests.testing.corpora import charts, diagrams, documents, screens, symbols
from visdiv_assets_tests.testing.corpora.shared import GROUP, Content

_DRAWN: dict[str, Callable[[Random, Content], Image]] = {
    "bar_chart": charts.bar_chart,
    "line_chart": charts.line_chart,
    "scatter_plot": charts.scatter_plot,
    "pie_chart": charts.pie_chart,
    "heat_map": charts.heat_map,
    "formula": charts.formula,
    "number_table": documents.number_table,
    "invoice": documents.invoice,
    "text_page": documents.text_page,
    "form": documents.form,
    "calendar": documents.calendar,
    "digits_by_hand": documents.digits_by_hand,
    "file_window": screens.file_window,
    "chat_screen": screens.chat_screen,
    "slide": screens.slide,
    "chess_board": screens.chess_board,
    "flag": symbols.flag,
    "icon": symbols.icon,
    "geometry": diagrams.geometry,
    "region_map": diagrams.region_map,
    "sheet_music": diagrams.sheet_music,
    "qr_code": symbols.qr_code,
    "barcode": symbols.barcode,
}

KINDS: tuple[str, ...] = tuple(_DRAWN)

#: Contents of one template that are paired: two pairs differ in one thing, two throughout.
_PAIRED = ((0, 1), (0, GROUP), (GROUP + 2, GROUP + 3), (GROUP, 2 * GROUP))


@dataclass(frozen=True)
class LookAlike:
    """Two images of one template: `draw(kind, template, content_a)` and `draw(kind, template, content_b)`.

    Attributes:
        small: they differ in one thing, or in two; otherwise throughout.
    """

    kind: str
    template: int
    content_a: int
    content_b: int

    @property
    def small(self) -> bool:
        return self.content_a // GROUP == self.content_b // GROUP


def draw(kind: str, template: int, content: int) -> Image:
    """One image, RGB; the same for the same numbers."""
    return _DRAWN[kind](Random(f"template/{kind}/{template}"), Content(kind, template, content))


def look_alikes(per_kind: int) -> Iterator[LookAlike]:
    """Pairs of every kind, four to a template."""
    for kind in KINDS:
        for i in range(per_kind):
            template, which = divmod(i, len(_PAIRED))
            yield LookAlike(kind, template, *_PAIRED[which])


def look_alike_pairs(per_kind: int) -> Iterator[tuple[str, Image, Image]]:
    """The kind and the two images of every pair of `look_alikes`."""
    for pair in look_alikes(per_kind):
        yield pair.kind, draw(pair.kind, pair.template, pair.content_a), draw(pair.kind, pair.template, pair.content_b)
