"""Progress: a bar in a terminal, log lines elsewhere."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from visdiv_assets import progress as module
from visdiv_assets.progress import SECONDS_BETWEEN_LINES, progress, silent


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Capture the log while stderr is not a terminal."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with caplog.at_level(logging.INFO, "visdiv_assets"):
        yield caplog


def test_a_line_appears_each_quarter_minute_and_one_at_the_end(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    assert SECONDS_BETWEEN_LINES == 15
    with progress("embedding some", 100, "image") as advance:
        for _ in range(20):
            clock.now += 2
            advance(5)
    assert log.messages == [
        "embedding some: 40 of 100 images, 2.5 per second",
        "embedding some: 80 of 100 images, 2.5 per second",
        "embedding some: 100 of 100 images, 2.5 per second",
    ]


def test_short_work_gives_one_line(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("listing some", 3, "row") as advance:
        clock.now += 1
        advance(1)
        clock.now += 1
        advance(2)
        assert log.messages == []
    assert log.messages == ["listing some: 3 of 3 rows, 1.5 per second"]


def test_work_without_items_is_silent(log: pytest.LogCaptureFixture) -> None:
    with progress("listing nothing", 0, "row"):
        pass
    assert log.messages == []


def test_no_elapsed_time_divides_nothing_by_zero(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("listing some", 1, "row") as advance:
        advance(1)
    assert log.messages[0].startswith("listing some: 1 of 1 rows")


def test_the_interval_between_lines_can_be_changed(
    clock: Clock, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    with progress("listing some", 2, "row") as advance:
        clock.now += 1
        advance(1)
        assert log.messages == ["listing some: 1 of 2 rows, 1.0 per second"]


def test_failed_work_is_not_reported_as_ended(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        with progress("listing some", 2, "row") as advance:
            clock.now += 1
            advance(1)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert log.messages == []


def test_a_terminal_shows_a_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO, "visdiv_assets"), progress("embedding some", 8, "image") as advance:
        advance(3)
    assert "embedding some" in terminal.getvalue()
    assert "/8" in terminal.getvalue()
    assert caplog.messages == []


def test_silent_progress_says_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    silent(3)
    assert (*capfd.readouterr(), caplog.messages) == ("", "", [])
