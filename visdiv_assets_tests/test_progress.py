"""Progress: a line on a terminal, lines elsewhere, and the log."""

from __future__ import annotations

import io
import logging
import os
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import pytest

from visdiv_assets import progress as module
from visdiv_assets.progress import SECONDS_BETWEEN_LINES, format_duration, heading, progress, showing, silent


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal:
    """A pseudo-terminal of 100 columns.

    Attributes:
        stream: what a program writes to.
    """

    def __init__(self) -> None:
        self._end, other = pty.openpty()
        ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.stream = os.fdopen(other, "w")
        self._read = b""
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def _collect(self) -> None:
        try:
            while data := os.read(self._end, 4096):
                self._read += data
        except OSError:
            return  # the other end is closed

    def lines(self) -> list[str]:
        """Return everything that the line has shown, in order."""
        return self._read.decode().replace("\r\n", "\n").split("\r\x1b[K")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: any(text in line for line in self.lines()))

    def close(self) -> None:
        self.stream.close()
        self._reader.join(5)
        os.close(self._end)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, "visdiv_assets"):
        yield caplog


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "SECONDS_BETWEEN_UPDATES", 0.005)
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.005)
    return io.StringIO()


# The log -------------------------------------------------------------------------------------------------------------


def test_a_line_appears_each_quarter_minute_and_one_at_the_end(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    assert SECONDS_BETWEEN_LINES == 15
    with progress("embedding some", 2000, "image") as advance:
        for _ in range(20):
            clock.now += 2
            advance(100)
    assert log.messages == [
        "embedding some: 800 of 2,000 images, 50.0/s, 24 s left",
        "embedding some: 1,600 of 2,000 images, 50.0/s, 8 s left",
        "embedding some: 2,000 of 2,000 images, 50.0/s",
    ]


def test_reused_work_does_not_raise_the_rate_for_long(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("embedding some", 2000, "image") as advance:
        advance(1000)
        for _ in range(100):
            clock.now += 1
            advance(2)
    assert log.messages[0] == "embedding some: 1,030 of 2,000 images, 68.7/s, 14 s left"
    assert log.messages[5] == "embedding some: 1,180 of 2,000 images, 2.0/s, 7 min left"


def test_a_step_longer_than_the_rate_counts_as_a_whole(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("comparing some", 40, "image") as advance:
        for _ in range(3):
            clock.now += 200
            advance(10)
    assert log.messages[:3] == [
        "comparing some: 10 of 40 images, 0.1/s, 10 min left",
        "comparing some: 20 of 40 images, 0.1/s, 7 min left",
        "comparing some: 30 of 40 images, 0.1/s, 3 min left",
    ]


def test_short_work_gives_one_line(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("listing some", 3, "row") as advance:
        clock.now += 1
        advance(1)
        clock.now += 1
        advance(2)
        assert log.messages == []
    assert log.messages == ["listing some: 3 of 3 rows, 1.5/s"]


def test_work_without_items_is_silent(log: pytest.LogCaptureFixture) -> None:
    with progress("listing nothing", 0, "row"):
        pass
    assert log.messages == []


def test_no_elapsed_time_divides_nothing_by_zero(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    with progress("listing some", 1, "row") as advance:
        advance(1)
    assert log.messages[0].startswith("listing some: 1 of 1 rows")


def test_failed_work_is_not_reported_as_ended(clock: Clock, log: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        with progress("listing some", 2, "row") as advance:
            clock.now += 1
            advance(1)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert log.messages == []


def test_silent_progress_says_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    silent(3)
    assert (*capfd.readouterr(), caplog.messages) == ("", "", [])


# A terminal ----------------------------------------------------------------------------------------------------------


def test_a_terminal_shows_one_line_and_clears_it(terminal: Terminal) -> None:
    with showing(terminal.stream):
        with heading("subset 3 of 185"), progress("embedding some", 8000, "image") as advance:
            terminal.wait_for("subset 3 of 185 · embedding some · 0 of 8,000 images · 0 s")
            advance(3000)
            terminal.wait_for("subset 3 of 185 · embedding some · 3,000 of 8,000 images · ")
        terminal.wait_for("3,000")
        terminal.stream.write("done   some\n")
        terminal.stream.flush()
        terminal.wait_for("done")
    assert terminal.lines()[-1] == "done   some\n"
    assert terminal.lines()[0] == ""


def test_without_work_the_innermost_heading_is_shown(terminal: Terminal) -> None:
    with showing(terminal.stream), heading("subset 3 of 185"), heading("near_duplicates of some"):
        terminal.wait_for("subset 3 of 185 · near_duplicates of some · 0 s")


def test_a_long_line_keeps_its_figures(terminal: Terminal) -> None:
    with showing(terminal.stream), progress("embedding " + "x" * 120, 8000, "image"):
        terminal.wait_for("xxx… · 0 of 8,000 images · 0 s")
    assert max(map(len, terminal.lines())) == 99


def test_the_line_is_cleared_when_the_work_is_interrupted(terminal: Terminal) -> None:
    def stop() -> None:
        with showing(terminal.stream), heading("subset 3 of 185"), progress("embedding some", 8, "image"):
            terminal.wait_for("embedding")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    wait_until(lambda: terminal.lines()[-1] == "")
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_a_warning_is_written_above_the_line(terminal: Terminal) -> None:
    with showing(terminal.stream), heading("subset 3 of 185"):
        terminal.wait_for("subset")
        logging.getLogger("visdiv_assets.some").warning("no CLIP weights")
        logging.getLogger("visdiv_assets.some").info("not shown")
        terminal.wait_for("no CLIP weights\n")
        wait_until(lambda: terminal.lines()[-1].startswith("subset"))
    assert [line for line in terminal.lines() if line and not line.startswith("subset")] == ["no CLIP weights\n"]


def test_the_line_stays_on_the_terminal_when_stderr_moves(terminal: Terminal) -> None:
    with showing(terminal.stream), Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), terminal.stream.fileno())  # as Dagster does in a step
        with heading("subset 3 of 185"):
            terminal.wait_for("subset 3 of 185")


def test_a_dumb_terminal_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.005)
    with showing(terminal.stream), heading("subset 3 of 185"):
        terminal.wait_for("subset 3 of 185 · 0 s\n")
    assert len(terminal.lines()) == 1


# Other streams -------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_whole_lines_and_nothing_to_clear(pipe: io.StringIO) -> None:
    with showing(pipe), heading("subset 3 of 185"), progress("embedding some", 8, "image"):
        pipe.seek(0)
        pipe.truncate()  # a line may have been due before the bar began
        wait_until(lambda: pipe.getvalue().count("\n") > 2)
    assert set(pipe.getvalue().splitlines()) == {"subset 3 of 185 · embedding some · 0 of 8 images · 0 s"}


def test_nothing_is_written_while_nothing_is_in_progress(pipe: io.StringIO) -> None:
    with showing(pipe):
        with heading("subset 3 of 185"):
            wait_until(lambda: bool(pipe.getvalue()))
        before = pipe.getvalue()
        time.sleep(0.05)
        assert pipe.getvalue() == before


def test_a_reader_that_goes_away_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.005)
    read, write = os.pipe()
    os.close(read)
    stream: TextIO = os.fdopen(write, "w")
    with showing(stream), heading("subset 3 of 185"):
        wait_until(lambda: "progress" not in {thread.name for thread in threading.enumerate()})
    stream.close()


def test_a_stream_that_cannot_encode_gets_a_replacement() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="ascii") as stream, showing(stream):
        logging.getLogger("visdiv_assets.some").warning("no é")
    assert os.read(read, 100) == b"no ?\n"
    os.close(read)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5900, "98 min"), (6000, "1.7 h"), (40_000, "11 h"), (9e6, "2,500 h")],
)
def test_a_duration_has_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_stderr_is_left_as_it_was() -> None:
    before = sys.stderr
    with showing(sys.stderr):
        pass
    assert sys.stderr is before
    assert not sys.stderr.closed
