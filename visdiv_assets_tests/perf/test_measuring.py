"""One side of a comparison, measured in a separate process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from visdiv_assets.perf.measuring import Figure, Run, measure_in_subprocess, own_mb

BYTES = 60_000_000


def hold(size: int, seconds: float) -> Callable[[], tuple[int, int]]:
    """Allocate memory for a while; the memory allocated before `work` counts as input."""
    held = b"i" * BYTES

    def work() -> tuple[int, int]:
        taken = b"x" * size
        time.sleep(seconds)
        return os.getpid(), len(held) + len(taken)

    return work


def fail() -> Callable[[], None]:
    def work() -> None:
        raise ValueError("no such measurement")

    return work


def test_a_side_has_its_result_seconds_and_peak_memory() -> None:
    run = measure_in_subprocess(hold, BYTES // 2, 0.2)
    assert isinstance(run, Run)
    process, total = run.result
    assert process != os.getpid()
    assert total == BYTES + BYTES // 2
    assert 0.2 <= run.seconds < 10
    if own_mb() is None:
        assert run.peak_mb is None
    else:
        assert run.peak_mb is not None
        # The input of 60 MB is not counted, the 30 MB of the work are.
        assert run.peak_mb == pytest.approx(30, abs=8)


def test_what_a_side_raises_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="no such measurement"):
        measure_in_subprocess(fail)


def test_own_memory_grows_by_what_is_taken() -> None:
    before = own_mb()
    if before is None:
        pytest.skip("no /proc")
    taken = b"x" * BYTES
    after = own_mb()
    assert after is not None
    assert after - before == pytest.approx(len(taken) / 1e6, abs=15)


def test_a_figure_is_a_row_with_all_its_fields() -> None:
    assert Figure("join", 2.0, "s", "FAISS", 3.0, 1.5, remark="the same").row() == {
        "name": "join",
        "ours": 2.0,
        "unit": "s",
        "peer": "FAISS",
        "theirs": 3.0,
        "ratio": 1.5,
        "peak_mb": None,
        "peer_peak_mb": None,
        "remark": "the same",
    }
