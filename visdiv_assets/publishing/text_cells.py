"""Prepare texts and values from data for HTML pages: no characters that UTF-8 or HTML forbid, and not too long.

The templates do the escaping.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visdiv_assets.corpus.image_lookup import ImageRef

if TYPE_CHECKING:
    from visdiv_assets.publishing.reports.model import Value

#: Maximum characters of a text in a table, and in the tooltip of a shortened text.
SHOWN, FULL = 200, 2000

#: Maximum bytes of HTML for the texts of all pairs of a page.
TEXT_BYTES = 1_000_000

_FULL_STEPS = (FULL, 1000, 400, 0)

# Control characters except tab and newline, noncharacters (not allowed in HTML) and lone surrogates (not in UTF-8).
_PLANE_ENDS = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
_UNFIT = re.compile(f"[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")


@dataclass(frozen=True, slots=True)
class Text:
    """A text on a page.

    Attributes:
        shown: the text on one line, shortened if needed.
        title: more of the text for the tooltip if `shown` is shortened; else empty.
    """

    shown: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value in a table.

    Attributes:
        text: the displayed text; None if there is no value.
        number: sort key of a number, as a JavaScript literal; None for other values.
    """

    text: Text | None
    number: str | None = None


def row_position(image: ImageRef) -> str:
    """Return the row and the index of an image."""
    return f"row {image.row}, image {image.image_index}"


def file_name(image: ImageRef) -> str:
    """Return the name of the file that an image is in, with the row if the file has several; empty if not known."""
    if image.file is None or image.file == image.path:
        return clean((image.path or "").rpartition("/")[2], SHOWN)
    name = clean(image.file.rpartition("/")[2], SHOWN)
    return f"{name}, row {image.row_in_file}"


def position(image: ImageRef) -> str:
    """Return where an image is: its row and index, and its file and path in the source as far as they are known."""
    text = row_position(image)
    if image.file is not None and image.file != image.path:
        text = f"{text}; {clean(image.file, SHOWN)}, row {image.row_in_file}"
    return text if image.path is None else f"{text}; {clean(image.path, SHOWN)}"


def clean(text: str, limit: int) -> str:
    """Return the first `limit` characters, with U+FFFD for forbidden ones and an ellipsis if the text is longer."""
    # Cut first: a text may have millions of characters.
    cut = _UNFIT.sub("\ufffd", text[:limit].replace("\r\n", "\n").replace("\r", "\n"))
    return cut + "…" if len(text) > limit else cut


def shorten(text: str, *, shown: int = SHOWN, full: int = FULL) -> Text:
    """Shorten a text for a table.

    Args:
        text: the text.
        shown: maximum characters in the table.
        full: maximum characters of the tooltip; 0 for none.
    """
    whole = clean(text, FULL)
    line = " ".join(whole.split())
    if len(text) <= FULL and len(line) <= shown:
        return Text(line)
    return Text(line[: shown - 1].rstrip() + "…", clean(text, full) if full else "")


def full_length(texts: Iterable[str]) -> int:
    """Return the maximum tooltip length with which all these texts fit into `TEXT_BYTES`."""
    lengths = [[_bytes_of(text[:step]) for step in _FULL_STEPS] for text in texts if len(text) > SHOWN]
    for index, step in enumerate(_FULL_STEPS):
        if sum(row[index] for row in lengths) <= TEXT_BYTES:
            return step
    return 0


def cell(value: Value, *, full: int = FULL) -> Cell:
    """Format a value for a table: numbers with four decimals, booleans as yes or no, NaN as no value."""
    if value is None:
        return Cell(None)
    if isinstance(value, str):
        return Cell(shorten(value, full=full))
    if isinstance(value, bool):
        return Cell(Text("yes" if value else "no"), str(int(value)))
    # NumPy's integers have this method too.
    if hasattr(value, "__index__"):
        return Cell(Text(str(int(value))), str(int(value)))
    number = float(value)
    if not math.isfinite(number):
        return Cell(None) if math.isnan(number) else Cell(Text(str(number)), f"{'-' * (number < 0)}Infinity")
    plain = number == 0 or 1e-3 <= abs(number) < 1e9
    return Cell(Text(f"{number:.4f}" if plain else f"{number:.3e}"), repr(number))


def _bytes_of(text: str) -> int:
    """Estimate the bytes of a text in HTML: five for a quote or a markup character, UTF-8 for the rest."""
    escaped = sum(text.count(character) for character in "&<>\"'")
    return len(text.encode("utf-8", "replace")) + 4 * escaped
