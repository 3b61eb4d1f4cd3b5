"""Keep the values used last, within a limit on their total size."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


def _one(value: object) -> int:
    return 1


class LruCache(Generic[Value]):
    """A cache that drops the values used longest ago once all together are too large.

    Not safe for several threads at once.
    """

    def __init__(self, capacity: int, *, size_of: Callable[[Value], int] = _one, min_entries: int = 1) -> None:
        """Set the limits.

        Args:
            capacity: largest total size; by default the number of values.
            size_of: returns the size of a value, the same at every call.
            min_entries: number of values that are kept however large they are.
        """
        self._capacity, self._size_of, self._min_entries = capacity, size_of, min_entries
        # In order of use, the latest last.
        self._values: dict[Hashable, Value] = {}
        self._size = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made by `make` if it is not kept."""
        if key in self._values:
            value = self._values.pop(key)
        else:
            value = make()
            self._size += self._size_of(value)
        self._values[key] = value
        while len(self._values) > self._min_entries and self._size > self._capacity:
            self._size -= self._size_of(self._values.pop(next(iter(self._values))))
        return value
