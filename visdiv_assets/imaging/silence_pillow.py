"""Suppression of Pillow's warnings in one thread, without an effect on other threads and other users of Pillow.

Pillow warns about decompression bombs, broken EXIF and broken APNG through the module `warnings`.
`warnings.catch_warnings` swaps process-wide state and is therefore not thread-safe. Instead, one filter is added that
matches only in threads inside a `silence_pillow` block.

Messages that libtiff writes to stderr about damaged compressed TIFF files cannot be suppressed.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_thread = threading.local()


class _MatchesInSilencedThread(type):
    """Metaclass of a filter's category, which `warnings` asks whether a warning is its subclass."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        """Return True for every warning in a silenced thread, and False elsewhere."""
        return getattr(_thread, "silenced", False)


class _SilencedWarning(Warning, metaclass=_MatchesInSilencedThread):
    """A category that covers every warning in a silenced thread, and no warning elsewhere."""


def _is_logged(record: logging.LogRecord) -> bool:
    return not getattr(_thread, "silenced", False)


@contextmanager
def silence_pillow() -> Iterator[None]:
    """Suppress warnings and TIFF log records of this thread inside the block; blocks must not be nested."""
    # A filter that was added later (by pytest, or by -W error) has precedence, so move ours to the front again. The
    # third element of a filter is its category.
    if not warnings.filters or warnings.filters[0][2] is not _SilencedWarning:
        warnings.simplefilter("ignore", _SilencedWarning)
    # Only the TIFF plugin logs above the level of debug. Adding the same filter again has no effect.
    logging.getLogger("PIL.TiffImagePlugin").addFilter(_is_logged)
    _thread.silenced = True
    try:
        yield
    finally:
        _thread.silenced = False
