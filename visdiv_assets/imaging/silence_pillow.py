"""Silence Pillow in one thread, without touching what other threads and other users of Pillow hear.

Pillow warns (bombs, broken EXIF, broken APNG) through `warnings`, whose `catch_warnings` swaps process-wide
state and so is not safe among threads. Instead one filter is added, which matches nothing except in a thread
that is inside `quiet`.

What libtiff itself writes to stderr about a damaged compressed TIFF is out of reach.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


class _MatchesWhileQuiet(type):
    """`warnings` asks a filter's category whether the warning is a subclass of it: answer for this thread."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return getattr(_thread, "quiet", False)


class _QuietWarning(Warning, metaclass=_MatchesWhileQuiet):
    """Stands for every warning of a thread that is inside `quiet`, and for none elsewhere."""


def _is_heard(record: logging.LogRecord) -> bool:
    return not getattr(_thread, "quiet", False)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the warnings and TIFF log records that this thread causes inside; blocks do not nest."""
    # Whoever adds a filter later (pytest, -W error) comes before ours: go to the front again. A filter's
    # third element is its category.
    if not warnings.filters or warnings.filters[0][2] is not _QuietWarning:
        warnings.simplefilter("ignore", _QuietWarning)
    # The one plugin of ours that logs above the level of debug. Adding a filter again does nothing.
    logging.getLogger("PIL.TiffImagePlugin").addFilter(_is_heard)
    _thread.quiet = True
    try:
        yield
    finally:
        _thread.quiet = False
