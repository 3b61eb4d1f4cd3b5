"""Show the progress of long work: a line that is updated in place on a terminal, log lines elsewhere.

Work reports its progress with `progress`, wherever it runs, and that logs it: the Dagster UI shows the lines in the log
of the step. A command also calls `showing`, which keeps the terminal that the command began with, since Dagster
redirects the output of its steps to files.
"""

from __future__ import annotations

import io
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

logger = logging.getLogger(__name__)

#: Seconds between the lines of a log, and between the updates of the line on a terminal.
SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_UPDATES = 15.0, 0.25

#: The rate of work is that of its last part of this length, so that reused work does not count for long.
RATE_SECONDS = 60.0

_CLEAR_LINE = "\r\x1b[K"


class Progress(Protocol):
    """Callback that counts finished items."""

    def __call__(self, done: int, /) -> None:
        """Add `done` finished items."""


def silent(done: int) -> None:
    """Ignore progress: a `Progress` that shows nothing."""


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of one piece of work while the block runs, and log it every 15 seconds.

    Args:
        description: the work, such as "embedding clipart_people".
        total: number of items.
        unit: what an item is, such as "image".

    Yields:
        The callback that counts finished items.
    """
    work = _Work(description, total, unit)
    with _shown(work):
        yield work
    work.log_end()


@contextmanager
def heading(text: str) -> Iterator[None]:
    """Name what the block does, such as "subset 3 of 185", for the line on the terminal.

    The outermost heading is always shown, the innermost one while no work reports progress.
    """
    with _shown(_Heading(text)):
        yield


@contextmanager
def showing(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Show progress and warnings on a stream while the block runs, also where the stream is redirected meanwhile.

    On a terminal, one line is updated in place, and cleared when nothing is in progress. Other streams, and terminals
    that cannot clear a line, get a line every 15 seconds.

    Args:
        stream: usually `sys.stderr`.

    Yields:
        a function that writes a line to the stream.
    """
    global _screen
    before, kept = _screen, _duplicate(stream)
    screen = _screen = _Screen(kept)
    handler = _Warnings(screen)
    package = logging.getLogger("visdiv_assets")
    package.addHandler(handler)
    try:
        yield screen.write_line
    finally:
        package.removeHandler(handler)
        _screen = before
        screen.close()
        if kept is not stream:
            # What could not be written cannot be flushed.
            with suppress(OSError):
                kept.close()


def format_duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours, with about two digits: "45 s", "12 min", "3.5 h"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 9.95 * 3600 else f"{seconds / 3600:,.0f} h"


class _Heading:
    """A name of what is done, and when it began."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._begin = time.monotonic()

    def figures(self) -> list[str]:
        return [format_duration(time.monotonic() - self._begin)]


class _Work:
    """A piece of work with its number of finished items; implements `Progress`."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.text, self._total, self._unit = description, total, unit
        self._done = 0
        self._begin = self._logged = time.monotonic()
        self._marks = deque([(self._begin, 0)])
        self._lock = threading.Lock()

    def __call__(self, done: int, /) -> None:
        # Several threads may share one piece of work.
        with self._lock:
            self._done += done
            now = time.monotonic()
            if now - self._marks[-1][0] >= 1:
                self._marks.append((now, self._done))
            while len(self._marks) > 2 and now - self._marks[1][0] > RATE_SECONDS:
                self._marks.popleft()
            is_due = now - self._logged >= SECONDS_BETWEEN_LINES
            if is_due:
                self._logged = now
        if is_due:
            logger.info("%s", self._log_line(self.figures()))

    def figures(self) -> list[str]:
        """Return the count, the present rate, and the time left; the time since the beginning if nothing is done."""
        now = time.monotonic()
        (begin, before), done = self._marks[0], self._done
        if done == before:
            return [self._count(), format_duration(now - self._begin)]
        rate = (done - before) / max(now - begin, 1e-9)
        left = [f"{format_duration((self._total - done) / rate)} left"] if done < self._total else []
        return [self._count(), f"{rate:,.1f}/s", *left]

    def log_end(self) -> None:
        """Log the count and the rate of the whole work, unless it had no items."""
        if self._done:
            rate = self._done / max(time.monotonic() - self._begin, 1e-9)
            logger.info("%s", self._log_line([self._count(), f"{rate:,.1f}/s"]))

    def _count(self) -> str:
        return f"{self._done:,} of {self._total:,} {self._unit}s"

    def _log_line(self, figures: list[str]) -> str:
        return f"{self.text}: {', '.join(figures)}"


class _Screen:
    """Draws what is in progress on a stream, from a thread that runs while something is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_place = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown: list[_Heading | _Work] = []
        self._is_drawn = False
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def push(self, entry: _Heading | _Work) -> None:
        """Show an entry."""
        with self._lock:
            self._shown.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()

    def pop(self, entry: _Heading | _Work) -> None:
        """Stop showing an entry; without any, the line is empty."""
        with self._lock:
            self._shown.remove(entry)
            if not self._shown:
                self._clear()

    def write_line(self, text: str) -> None:
        """Write a line above the one in progress."""
        with self._lock:
            self._clear()
            self._write(f"{text}\n")

    def close(self) -> None:
        """Clear the line and end the thread."""
        self._closing.set()
        if self._thread:
            self._thread.join()
        with self._lock:
            self._clear()

    def _run(self) -> None:
        seconds = SECONDS_BETWEEN_UPDATES if self._in_place else SECONDS_BETWEEN_LINES
        while not self._closing.wait(seconds):
            with self._lock:
                if self._shown:
                    self._draw()

    def _names_and_figures(self) -> tuple[str, str]:
        first, last = self._shown[0], self._shown[-1]
        works = [entry for entry in self._shown if isinstance(entry, _Work)]
        current = works[-1] if works else last
        names = [first.text] if current is first else [first.text, current.text]
        return " · ".join(names), " · ".join(current.figures())

    def _draw(self) -> None:
        names, figures = self._names_and_figures()
        if not self._in_place:
            self._write(f"{names} · {figures}\n")
            return
        width = self._columns() - 1
        room = max(width - len(figures) - 3, 0)
        names = names if len(names) <= room else f"{names[: max(room - 1, 0)]}…"
        self._write(f"{_CLEAR_LINE}{names} · {figures}"[: width + len(_CLEAR_LINE)])
        self._is_drawn = True

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80

    def _clear(self) -> None:
        if self._is_drawn:
            self._write(_CLEAR_LINE)
            self._is_drawn = False

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            # The terminal was closed, or nothing reads the pipe: the work goes on unseen.
            self._closing.set()


#: Where progress is shown; None: it is only logged.
_screen: _Screen | None = None


@contextmanager
def _shown(entry: _Heading | _Work) -> Iterator[None]:
    screen = _screen
    if screen is None:
        yield
        return
    screen.push(entry)
    try:
        yield
    finally:
        screen.pop(entry)


class _Warnings(logging.Handler):
    """Writes warnings to the screen."""

    def __init__(self, screen: _Screen) -> None:
        super().__init__(logging.WARNING)
        self._to = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._to.write_line(self.format(record))


def _duplicate(stream: TextIO) -> TextIO:
    """Return a stream to where a stream leads now; the stream itself if it is in memory or a notebook's."""
    if not isinstance(stream, io.TextIOWrapper):
        # The stream of a Jupyter kernel has a descriptor too, but that one leads to the terminal of its server.
        return stream
    try:
        stream.flush()
        descriptor = os.dup(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return stream
    return os.fdopen(descriptor, "w", encoding=stream.encoding, errors="replace")
