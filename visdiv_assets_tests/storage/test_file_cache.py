"""The file cache: it stays within its limit, fetches a file once, and does not remove files that are read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import BinaryIO

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage import disk_space
from visdiv_assets.storage.file_cache import FileCache

SIZE = 1000

#: Holds a file until it is killed, or until its standard input ends.
HOLD = """
import sys
from pathlib import Path
from visdiv_assets.storage.file_cache import FileCache

def fetch(stream):
    stream.seek(0, 2)
    while stream.tell() < 1000:
        if sys.argv[2] == "slow":
            print("half", flush=True)
            stream.write(b"x" * 500)
            stream.flush()
            sys.stdin.read()
        else:
            stream.write(b"x" * 500)

with FileCache(Path(sys.argv[1]), 10**9).file("shared", 1000, fetch):
    print("held", flush=True)
    sys.stdin.read()
"""


class Counted:
    """Writes a file or resumes one, and counts bytes and calls."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls = 0
        self.written = 0
        self.seconds = seconds

    def __call__(self, stream: BinaryIO) -> None:
        self.calls += 1
        sleep(self.seconds)
        missing = SIZE - stream.seek(0, os.SEEK_END)
        stream.write(b"x" * missing)
        self.written += missing


def use(cache: FileCache, key: str, fetch: Callable[[BinaryIO], None] | None = None) -> None:
    with cache.file(key, SIZE, fetch or Counted()) as path:
        assert path.stat().st_size == SIZE


def held(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def other_process(folder: Path, speed: str = "fast") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), speed], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_the_files_used_least_recently_go_first(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 3 * SIZE)
    for key in ("a", "b", "c"):
        use(cache, key)
    fetch = Counted()
    use(cache, "a", fetch)
    assert fetch.calls == 0
    use(cache, "d")
    assert held(tmp_path) == ["a", "c", "d"]
    use(cache, "e")
    assert held(tmp_path) == ["a", "d", "e"]


def test_files_in_use_stay_beyond_the_limit_and_go_afterwards(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, SIZE)
    with cache.file("a", SIZE, Counted()) as first, cache.file("b", SIZE, Counted()) as second:
        assert first.exists()
        assert second.exists()
    assert held(tmp_path) == ["a"]
    with cache.file("a", SIZE, Counted()):
        use(FileCache(tmp_path, 0), "b")
        assert held(tmp_path) == ["a"]


def test_a_limit_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    use(FileCache(tmp_path, 0), "a")
    assert held(tmp_path) == []


def test_a_file_that_another_process_reads_is_not_removed(tmp_path: Path) -> None:
    with other_process(tmp_path) as process:
        assert said(process) == "held"
        use(FileCache(tmp_path, 0), "mine")
        assert held(tmp_path) == ["shared"]
        process.communicate("")
    use(FileCache(tmp_path, 0), "mine")
    assert held(tmp_path) == []


def test_many_threads_that_want_one_file_fetch_it_once(tmp_path: Path) -> None:
    fetch = Counted(seconds=0.05)
    with ThreadPoolExecutor(6) as executor:
        list(executor.map(lambda _: use(FileCache(tmp_path, 10**9), "a", fetch), range(6)))
    assert fetch.calls == 1


def test_two_processes_that_want_one_file_fetch_it_once(tmp_path: Path) -> None:
    fetch = Counted()
    with other_process(tmp_path, "slow") as process, ThreadPoolExecutor(1) as executor:
        assert said(process) == "half"
        waiting = executor.submit(use, FileCache(tmp_path, 10**9), "shared", fetch)
        sleep(0.3)
        assert not waiting.done()
        assert process.stdin
        process.stdin.close()
        waiting.result(timeout=20)
        process.wait(timeout=20)
    assert fetch.calls == 0


def test_what_a_killed_process_fetched_is_gone_on_with(tmp_path: Path) -> None:
    with other_process(tmp_path, "slow") as process:
        assert said(process) == "half"
        end = monotonic() + 10
        while (tmp_path / "shared.part").stat().st_size < 500:
            assert monotonic() < end
            sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    assert held(tmp_path) == ["shared.part"]
    fetch = Counted()
    use(FileCache(tmp_path, 10**9), "shared", fetch)
    assert fetch.written == 500
    assert held(tmp_path) == ["shared"]


def test_unfinished_files_count_and_go_when_room_is_needed(tmp_path: Path) -> None:
    (tmp_path / "old.part").write_bytes(b"x" * 2 * SIZE)
    os.utime(tmp_path / "old.part", (1, 1))
    use(FileCache(tmp_path, 2 * SIZE), "a")
    assert held(tmp_path) == ["a"]


def test_fetched_files_go_before_the_disks_reserve_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def free() -> int:
        return 10 * SIZE - sum(path.stat().st_size for path in tmp_path.iterdir())

    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(10**9, free()))
    cache = FileCache(tmp_path, 10**9, reserve_bytes=7 * SIZE)
    for key in ("a", "b", "c", "d"):
        use(cache, key)
    assert held(tmp_path) == ["b", "c", "d"]
    monkeypatch.setattr(disk_space, "space_of", lambda folder: disk_space.Space(10**9, 6 * SIZE))
    with pytest.raises(VisdivError, match=r"the disk of .* less than the reserve of"):
        use(cache, "e")


def test_a_file_that_was_cut_off_on_disk_is_fetched_again(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 10**9)
    use(cache, "a")
    os.truncate(tmp_path / "a", 10)
    fetch = Counted()
    use(cache, "a", fetch)
    assert fetch.calls == 1


def test_a_fetch_that_fails_leaves_no_complete_file(tmp_path: Path) -> None:
    def fetch(stream: BinaryIO) -> None:
        stream.write(b"x" * 10)
        raise VisdivError("it is down")

    with pytest.raises(VisdivError, match="it is down"), FileCache(tmp_path, 10**9).file("a", SIZE, fetch):
        raise AssertionError("it was not fetched")
    assert held(tmp_path) == ["a.part"]


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    def fetch(stream: BinaryIO) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(VisdivError, match=r"cannot write .*/a: No space left on device"):
        use(FileCache(tmp_path, 10**9), "a", fetch)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(VisdivError, match=r"cannot write .*file/a: Not a directory"):
        use(FileCache(tmp_path / "file", 10**9), "a")


def test_a_file_survives_readers_that_make_room_at_the_same_time(tmp_path: Path) -> None:
    """Six threads read eight files where two have room: each finds its file whole for as long as it reads."""
    problems: list[str] = []

    def read(seed: int) -> None:
        cache = FileCache(tmp_path, 2 * SIZE)
        for step in range(40):
            key = f"file{(seed * 7 + step * (seed + 1)) % 8}"
            with cache.file(key, SIZE, Counted()) as path:
                if path.read_bytes() != b"x" * SIZE:
                    problems.append(key)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads)
    assert problems == []
    assert len(held(tmp_path)) <= 2
