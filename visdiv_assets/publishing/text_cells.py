"""Text from data, made fit for a page: nothing that UTF-8 or HTML cannot hold, and not too long.

Escaping is left to the template, which escapes whatever it is given.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from visdiv_assets.publishing.reports.model import Value

#: Characters that are seen at once, and those that can be had by pointing at a shortened text.
SHOWN, FULL = 200, 2000

#: For the texts of all pairs together, in bytes of HTML: it keeps 600 long ones from filling the file.
TEXT_BYTES = 1_000_000

_FULL_STEPS = (FULL, 1000, 400, 0)

# Controls but tab and newline, lone surrogates, noncharacters: not allowed in HTML, and the lone surrogates not in
# UTF-8.
_PLANE_ENDS = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
_UNFIT = re.compile(f"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text as the page shows it.

    Attributes:
        shown: on one line.
        title: more of the text, if `shown` is not all of it; else empty.
    """

    shown: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as a table shows it.

    Attributes:
        text: how it reads; None if there is no value.
        number: what a number sorts by, as a JavaScript literal; None for anything else.
    """

    text: Text | None
    number: str | None = None


def clean(text: str, limit: int) -> str:
    """The first `limit` characters, with U+FFFD for what no page may hold, and an ellipsis if there are more."""
    # Cut before anything else: a text may have millions of characters.
    cut = _UNFIT.sub("\ufffd", text[:limit].replace("\r\n", "\n").replace("\r", "\n"))
    return cut + "…" if len(text) > limit else cut


def shorten(text: str, *, shown: int = SHOWN, full: int = FULL) -> Text:
    """Fit a text to a table.

    Args:
        text: anything.
        shown: longest text to show.
        full: longest text of the title; 0 for none.
    """
    whole = clean(text, FULL)
    line = " ".join(whole.split())
    if len(text) <= FULL and len(line) <= shown:
        return Text(line)
    return Text(line[: shown - 1].rstrip() + "…", clean(text, full) if full else "")


def full_length(texts: Iterable[str]) -> int:
    """The longest titles with which all these texts keep to `TEXT_BYTES`."""
    lengths = [[_bytes_of(text[:step]) for step in _FULL_STEPS] for text in texts if len(text) > SHOWN]
    for number, step in enumerate(_FULL_STEPS):
        if sum(row[number] for row in lengths) <= TEXT_BYTES:
            return step
    return 0


def cell(value: Value, *, full: int = FULL) -> Cell:
    """Write a value for people: four decimals, yes or no, nothing for what is not a number."""
    if value is None:
        return Cell(None)
    if isinstance(value, str):
        return Cell(shorten(value, full=full))
    if isinstance(value, bool):
        return Cell(Text("yes" if value else "no"), str(int(value)))
    # Asked like this, NumPy's integers are integers too.
    if hasattr(value, "__index__"):
        return Cell(Text(str(int(value))), str(int(value)))
    number = float(value)
    if not math.isfinite(number):
        return Cell(None) if math.isnan(number) else Cell(Text(str(number)), f"{'-' * (number < 0)}Infinity")
    plain = number == 0 or 1e-3 <= abs(number) < 1e9
    return Cell(Text(f"{number:.4f}" if plain else f"{number:.3e}"), repr(number))


def _bytes_of(text: str) -> int:
    """Roughly what a text takes: quotes and markup five bytes each, the rest as in UTF-8."""
    escaped = sum(text.count(character) for character in "&<>\"'")
    return len(text.encode("utf-8", "replace")) + 4 * escaped
