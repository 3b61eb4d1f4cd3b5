"""Mapping over threads: in order, lazily, with bounded memory, until the first exception."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.threads import ByteBudget, map_in, ordered_map, thread_count


@pytest.fixture
def threads_before() -> set[threading.Thread]:
    return set(threading.enumerate())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 4), st.integers(1, 3))
def test_results_come_in_the_order_of_the_items(delays: list[int], threads: int, ahead: int) -> None:
    def work(item: tuple[int, int]) -> tuple[int, int]:
        time.sleep(item[1] / 5000)
        return item

    items = list(enumerate(delays))
    assert list(ordered_map(work, items, threads=threads, ahead=ahead)) == items


def test_items_are_processed_in_parallel() -> None:
    together = threading.Barrier(4, timeout=20)
    # The barrier opens only when four threads wait at it.
    assert sorted(ordered_map(lambda _: together.wait(), range(4), threads=4)) == [0, 1, 2, 3]


def test_an_endless_stream_of_items_is_drawn_lazily() -> None:
    results = ordered_map(lambda item: item * item, itertools.count(), threads=2)
    assert list(itertools.islice(results, 100)) == [item * item for item in range(100)]
    results.close()  # type: ignore[attr-defined]


def test_nothing_is_drawn_before_the_first_result() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(9):
            drawn.append(item)
            yield item

    results = ordered_map(str, items(), threads=2)
    assert drawn == []
    assert next(results) == "0"
    assert drawn != []


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_no_more_items_are_held_than_threads_times_ahead(threads: int, ahead: int) -> None:
    drawn, taken, held = 0, 0, []

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(40):
            drawn += 1
            held.append(drawn - taken)
            yield item

    for _ in ordered_map(lambda item: item, items(), threads=threads, ahead=ahead):
        taken += 1
    assert taken == 40
    # One result may lie between the map and its caller.
    assert threads * ahead <= max(held) <= threads * ahead + 1


def test_the_first_exception_cancels_work_not_started(
    threads_before: set[threading.Thread],
) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise ValueError("item two")
        if item > 2:
            time.sleep(0.2)
        return item

    results = ordered_map(work, range(100), threads=1, ahead=8)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item two"):
        next(results)
    # Ten items had been handed over by then; on a busy machine the thread may have taken up one or two more.
    assert begun[:3] == [0, 1, 2]
    assert len(begun) < 7
    assert list(results) == []
    assert set(threading.enumerate()) <= threads_before


def test_an_exception_among_the_items_comes_through(threads_before: set[threading.Thread]) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("cannot draw")

    with pytest.raises(OSError, match="cannot draw"):
        list(ordered_map(str, items(), threads=2))
    assert set(threading.enumerate()) <= threads_before


def test_results_before_an_exception_are_delivered() -> None:
    results = ordered_map(lambda item: 1 // item, [3, 1, 0, 1], threads=2, ahead=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_abandoned_map_leaves_no_thread_behind(threads_before: set[threading.Thread]) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.02)
        return item

    results = ordered_map(work, range(1000), threads=2, ahead=10)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= threads_before
    assert len(begun) < 20


def test_no_items_give_no_results() -> None:
    assert list(ordered_map(str, [], threads=2)) == []


def test_a_set_number_of_threads_is_kept() -> None:
    assert [thread_count(setting) for setting in (1, 3, 1000)] == [1, 3, 1000]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_zero_threads_mean_one_per_core_that_the_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    assert thread_count(0) == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert thread_count(0) == 1
    finally:
        os.sched_setaffinity(0, allowed)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 5), st.integers(0, 12))
def test_items_in_flight_are_limited_by_number_and_bytes(sizes: list[int], most: int, most_bytes: int) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for size in sizes:
            drawn.append(size)
            yield size

    with ThreadPoolExecutor(2) as executor:
        given_back = 0
        mapped = map_in(executor, str, items(), most=most, bytes_of=lambda size: size, most_bytes=most_bytes)
        for number, result in enumerate(mapped):
            assert result == str(sizes[number])
            # The item drawn last waits until there is room for it.
            in_flight = drawn[given_back:-1]
            assert len(in_flight) <= most
            assert len(in_flight) <= 1 or sum(in_flight) <= most_bytes
            given_back += 1
    assert given_back == len(sizes)


def test_threads_share_a_budget_of_bytes() -> None:
    budget = ByteBudget(10)
    held = most = 0
    lock = threading.Lock()

    def work(size: int) -> int:
        nonlocal held, most
        with budget.hold(size):
            with lock:
                held += min(size, 10)
                most = max(most, held)
            time.sleep(0.002)
            with lock:
                held -= min(size, 10)
        return size

    sizes = [3, 4, 25, 5, 0, 10, 6] * 3
    assert list(ordered_map(work, sizes, threads=6)) == sizes
    assert 5 < most <= 10


def test_a_share_is_free_again_after_an_exception() -> None:
    budget = ByteBudget(10)
    with pytest.raises(ValueError, match="inside"), budget.hold(10):
        raise ValueError("inside")
    with budget.hold(10):
        pass
