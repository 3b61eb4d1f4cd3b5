"""Show the progress of long work: a bar in a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 15.0


class Progress(Protocol):
    """Callback that counts finished items."""

    def __call__(self, done: int) -> None:
        """Add `done` finished items."""


def silent(done: int) -> None:
    """Ignore progress: a `Progress` that shows nothing."""


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Progress]:
    """Show the progress of one piece of work while the block runs.

    Args:
        description: the work, such as "embedding clipart_people".
        total: number of items.
        unit: what an item is, such as "image".

    Yields:
        The callback that counts finished items.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=description, unit=f" {unit}s", leave=False) as bar:

            def advance(done: int) -> None:
                bar.update(done)

            yield advance
        return
    lines = _LogLines(description, total, unit)
    yield lines
    lines.end()


class _LogLines:
    def __init__(self, description: str, total: int, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0
        self._begin = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._log(now)

    def end(self) -> None:
        if self._done:
            self._log(time.monotonic())

    def _log(self, now: float) -> None:
        rate = self._done / max(now - self._begin, 1e-9)
        logger.info("%s: %d of %d %ss, %.1f per second", self._description, self._done, self._total, self._unit, rate)
