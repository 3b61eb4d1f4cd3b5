"""What was opened last is kept open: every subset is in as many units of work as there are others."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Opened = TypeVar("Opened")


class LruCache(Generic[Opened]):
    """Keeps the two things used last, and more of those before as long as all together are not too large."""

    def __init__(self, size_of: Callable[[Opened], int] = lambda opened: 0, most: int = -1) -> None:
        """Say how large a thing is, and how large all may be; by default there are never more than two."""
        self._size_of, self._most = size_of, most
        self._kept: dict[Hashable, Opened] = {}

    def get(self, key: Hashable, opener: Callable[[], Opened]) -> Opened:
        """What is kept by this key, or what the function opens."""
        self._kept[key] = self._kept.pop(key) if key in self._kept else opener()
        while len(self._kept) > 2 and sum(map(self._size_of, self._kept.values())) > self._most:
            del self._kept[next(iter(self._kept))]
        return self._kept[key]
