from __future__ import annotations

import pytest

from visdiv_assets.vectors.lru import LruCache


def test_the_value_used_longest_ago_is_dropped() -> None:
    cache: LruCache[str] = LruCache(2)
    for key in "abac":
        assert cache.get(key, lambda key=key: key.upper()) == key.upper()
    assert [key in cache for key in "abc"] == [True, False, True]


def test_a_kept_value_is_not_made_again() -> None:
    cache: LruCache[int] = LruCache(2)
    cache.get("a", lambda: 1)
    assert cache.get("a", lambda: 2) == 1


@pytest.mark.parametrize(("min_entries", "kept"), [(1, 1), (2, 2)])
def test_sizes_count_but_for_a_number_of_values(min_entries: int, kept: int) -> None:
    cache: LruCache[int] = LruCache(10, size_of=lambda value: value, min_entries=min_entries)
    for value in (3, 7, 11, 12):
        cache.get(value, lambda value=value: value)
    assert sum(value in cache for value in (3, 7, 11, 12)) == kept
    small: LruCache[int] = LruCache(10, size_of=lambda value: value, min_entries=min_entries)
    for value in (1, 2, 3, 4):
        small.get(value, lambda value=value: value)
    assert all(value in small for value in (1, 2, 3, 4))


def test_a_value_that_could_not_be_made_leaves_no_trace() -> None:
    cache: LruCache[int] = LruCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 // 0)
    assert cache.get("a", lambda: 3) == 3
