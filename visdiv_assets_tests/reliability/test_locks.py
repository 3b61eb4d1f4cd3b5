"""One process at a time writes a partition, and no process waits for a writer that has failed."""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import temporary_beside
from visdiv_assets.storage.lake import Lake, PartitionWrite
from visdiv_assets.storage.locks import ConcurrentWriteError, release_all
from visdiv_assets_tests.storage.helpers import read_numbers, write_numbers


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def begin(lake: Lake, **inputs: str) -> PartitionWrite:
    return lake.write("table", "some", code_version="1", inputs=inputs)


def lock_file(lake: Lake) -> Path:
    return Path(lake.files.root) / ".locks" / "table" / "some.lock"


def is_free(lake: Lake) -> bool:
    """Return whether another process would get the lock, for which a newly opened file stands."""
    with lock_file(lake).open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def held_by_another(lake: Lake) -> Iterator[BinaryIO]:
    lock_file(lake).parent.mkdir(parents=True, exist_ok=True)
    with lock_file(lake).open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


def test_a_partition_is_locked_until_it_is_committed(lake: Lake) -> None:
    write = begin(lake)
    assert not is_free(lake)
    write.commit()
    assert is_free(lake)


def test_locks_are_no_table_and_apply_to_one_partition(lake: Lake) -> None:
    write = begin(lake)
    write_numbers(lake, "other", {"unit": [1]})
    assert not is_free(lake)
    assert lake.tables() == ["table"]
    assert lake.partitions("table") == ["other"]
    write.commit()


def test_a_failed_write_is_released_even_if_the_error_is_kept(lake: Lake) -> None:
    def fail() -> None:
        with release_all():
            write = begin(lake)
            with write.add("unit"):
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        fail()
    assert is_free(lake)
    # Keep the frames of the error, and with them the write, alive until here.
    assert caught.traceback


def test_an_unreferenced_write_is_released(lake: Lake) -> None:
    write = begin(lake)
    assert not is_free(lake)
    del write
    assert is_free(lake)


def test_a_failed_commit_releases_the_lock(lake: Lake) -> None:
    write = begin(lake)
    (Path(lake.files.root) / "table" / "some" / "manifest.json").mkdir(parents=True)
    with pytest.raises(VisdivError, match="cannot write"):
        write.commit()
    assert is_free(lake)


def test_a_process_does_not_wait_for_its_own_failed_attempt(lake: Lake) -> None:
    abandoned = begin(lake)
    second = begin(lake)
    second.commit()
    assert not is_free(lake)
    del abandoned
    assert is_free(lake)


def test_a_waiting_writer_logs_it_and_resumes_after_the_release(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    writes: list[PartitionWrite] = []
    with held_by_another(lake):
        waiting = threading.Thread(target=lambda: writes.append(begin(lake)))
        waiting.start()
        while not caplog.messages:
            waiting.join(0.01)
        assert caplog.messages == ["waiting for another run, which is writing table of 'some'"]
        assert not writes
    waiting.join(10)
    assert len(writes) == 1
    assert not is_free(lake)


@pytest.mark.parametrize("others", ["old", "new"])
def test_a_writer_that_waited_fails_if_the_inputs_differed(
    lake: Lake, tmp_path: Path, others: str, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = Lake(tmp_path / "elsewhere")
    write_numbers(elsewhere, "some", {"unit": [1]}, inputs={"subset": others})
    outcomes: list[PartitionWrite | ConcurrentWriteError] = []

    def write() -> None:
        try:
            outcomes.append(begin(lake, subset="new"))
        except ConcurrentWriteError as error:
            outcomes.append(error)

    with held_by_another(lake):
        waiting = threading.Thread(target=write)
        waiting.start()
        while not caplog.messages:
            waiting.join(0.01)
        shutil.copytree(Path(elsewhere.files.root) / "table", Path(lake.files.root) / "table")
    waiting.join(10)
    (outcome,) = outcomes
    if others == "new":
        assert isinstance(outcome, PartitionWrite)
    else:
        assert "another run has written table of 'some' from other inputs" in str(outcome)
        assert is_free(lake)


def test_the_next_write_removes_a_killed_writers_temporary_files(lake: Lake) -> None:
    write_numbers(lake, "some", {"unit": [1]})
    folder = Path(lake.files.root) / "table" / "some"
    left = temporary_beside(folder / "rows.parquet")
    left.write_bytes(b"half")
    write = begin(lake)
    assert not left.exists()
    # A second write in this process must not remove the temporary files of the first.
    left.write_bytes(b"half")
    begin(lake).commit()
    assert left.exists()
    write.commit()


def test_a_lake_on_object_storage_has_no_locks() -> None:
    lake = Lake("mock:///root")
    lake.files.filesystem.create_dir("root/table/some")
    write_numbers(lake, "some", {"unit": [1, 2]})
    assert lake.files.folders("") == ["table"]
    assert read_numbers(lake, "some") == [1, 2]


def test_a_lock_that_cannot_be_made_is_one_line(lake: Lake) -> None:
    Path(lake.files.root).mkdir()
    (Path(lake.files.root) / ".locks").write_bytes(b"")
    with pytest.raises(VisdivError, match=r"cannot write .*some.lock: ") as caught:
        begin(lake)
    assert "\n" not in str(caught.value)
