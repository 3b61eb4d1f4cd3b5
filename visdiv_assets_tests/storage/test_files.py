"""Files appear completely or not at all, in the right folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import Files, escape, replace_local, temporary_beside, unescape
from visdiv_assets_tests.storage.helpers import ODD_NAMES, files_below, run_python

NAMES = st.one_of(st.text(min_size=1), st.text("./\\%~2EF+()", min_size=1, max_size=6), st.sampled_from(ODD_NAMES))


def write_half(files: Files, path: str, error: BaseException) -> None:
    """Begin to write a file and fail."""
    with files.replace(path) as stream:
        stream.write(b"half of the new")
        raise error


@given(NAMES)
def test_an_escaped_name_is_one_plain_folder_and_reads_back(name: str) -> None:
    folder = escape(name)
    assert unescape(folder) == name
    assert folder.isascii()
    assert folder.isprintable()
    assert "/" not in folder
    assert "\\" not in folder
    assert not folder.startswith(".")


@given(NAMES, NAMES)
def test_different_names_have_different_folders(one: str, other: str) -> None:
    assume(one != other)
    assert escape(one) != escape(other)


@pytest.mark.parametrize(
    ("name", "folder"), [("coco_colors", "coco_colors"), ("geoqa+(x)", "geoqa%2B%28x%29"), ("../x", "%2E.%2Fx")]
)
def test_plain_names_stay_legible(name: str, folder: str) -> None:
    assert escape(name) == folder


@pytest.mark.parametrize("name", ODD_NAMES)
def test_no_name_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    files = Files(tmp_path / "root")
    with files.replace(f"table/{escape(name)}/file") as stream:
        stream.write(b"content")
    (written,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert written.parent.parent == tmp_path / "root" / "table"
    assert [unescape(folder) for folder in files.folders("table")] == [name]
    assert files.read(f"table/{escape(name)}/file") == b"content"


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    files = Files(tmp_path / "not" / "yet")
    with files.replace("a/b/file") as stream:
        stream.write(b"one")
        stream.write(b"two")
    assert files_below(tmp_path) == {"not/yet/a/b/file": b"onetwo"}
    assert files.size("a/b/file") == 6


def test_what_is_not_there_is_none_or_empty(tmp_path: Path) -> None:
    files = Files(tmp_path / "root")
    assert files.read("file") is None
    assert files.size("file") is None
    assert files.folders("") == []
    assert not (tmp_path / "root").exists()


def test_folders_are_sorted_and_files_are_none(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert Files(tmp_path).folders("") == ["a", "b", "c"]
    assert Files(tmp_path).size("a") is None


def test_a_local_path_may_be_given_as_a_uri(tmp_path: Path) -> None:
    files = Files(tmp_path.as_uri())
    assert files.is_local
    with files.replace("file") as stream:
        stream.write(b"content")
    assert files_below(tmp_path) == {"file": b"content"}


def test_a_relative_root_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = Files("root")
    monkeypatch.chdir("/")
    with files.replace("file") as stream:
        stream.write(b"content")
    assert files_below(tmp_path) == {"root/file": b"content"}


def test_readers_see_the_old_content_until_the_new_is_complete(tmp_path: Path) -> None:
    files = Files(tmp_path)
    for content in (b"old", b"new"):
        before = files.read("file")
        with files.replace("file") as stream:
            stream.write(content)
            stream.flush()
            assert files.read("file") == before
        assert files.read("file") == content
    assert files_below(tmp_path) == {"file": b"new"}


def test_a_reader_at_any_moment_sees_a_whole_file(tmp_path: Path) -> None:
    files = Files(tmp_path)
    contents = [bytes([letter]) * 50_000 for letter in b"abcdefgh"]
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(files.read("file"))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for content in contents * 5:
            with files.replace("file") as stream:
                for start in range(0, len(content), 5000):
                    stream.write(content[start : start + 5000])
    finally:
        done.set()
        reader.join()
    assert len(seen - {None}) > 1
    assert seen <= {None, *contents}


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, error: BaseException) -> None:
    files = Files(tmp_path)
    for name in ("old", "absent"):
        if name == "old":
            (tmp_path / name).write_bytes(b"old")
        with pytest.raises(type(error)):
            write_half(files, name, error)
    assert files_below(tmp_path) == {"old": b"old"}


def test_an_exception_leaves_the_old_object_without_a_rename() -> None:
    files = Files("mock:///root")
    files.filesystem.create_dir("root")
    assert not files.is_local
    with files.replace("file") as stream:
        stream.write(b"old")
    with pytest.raises(ValueError, match="broken"):
        write_half(files, "file", ValueError("broken"))
    assert files.read("file") == b"old"


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with files.replace("file") as one, files.replace("file") as other:
        one.write(b"one ")
        other.write(b"other ")
        one.write(b"one")
        other.write(b"other")
    assert files_below(tmp_path) == {"file": b"one one"}


def test_temporary_names_are_never_alike_nor_taken_for_data(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    names = {temporary_beside(path) for _ in range(100)}
    assert len(names) == 100
    assert {name.parent for name in names} == {tmp_path}
    assert not any(name.match("*.parquet") or name.match("*.json") for name in names)


TOO_LARGE = """
import resource, signal, sys
from pathlib import Path
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import Files

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    with Files(sys.argv[1]).replace("file") as stream:
        for _ in range(100):
            stream.write(bytes(1000))
except VisdivError as error:
    print(error)
"""

NOT_ALLOWED = """
import os, sys
from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import Files

files = Files(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for name in ("file", "new/file"):
    try:
        with files.replace(name) as stream:
            stream.write(b"new")
    except VisdivError as error:
        print(error)
"""


def test_a_write_beyond_the_space_leaves_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    done = run_python(TOO_LARGE, tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"cannot write {tmp_path / 'file'}: File too large; its previous content is intact")
    assert files_below(tmp_path) == {"file": b"old"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def test_a_read_only_folder_is_one_line_and_stays_unchanged(open_folder: Path) -> None:
    (open_folder / "file").write_bytes(b"old")
    open_folder.chmod(0o555)
    done = run_python(NOT_ALLOWED, open_folder)
    open_folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"cannot write {open_folder / 'file'}: Permission denied; ")
    assert lines[1].startswith(f"cannot write {open_folder / 'new/file'}: Permission denied; ")
    assert files_below(open_folder) == {"file": b"old"}


def test_a_folder_with_the_name_of_the_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(VisdivError, match=r"cannot write .*taken: ") as caught, Files(tmp_path).replace("taken"):
        pass
    assert len(str(caught.value).splitlines()) == 1
    assert files_below(tmp_path) == {}


def test_a_file_with_the_name_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(VisdivError, match=r"cannot write .*taken/file: "), Files(tmp_path).replace("taken/file"):
        pass
    assert files_below(tmp_path) == {"taken": b"old"}


def test_an_error_of_the_caller_is_not_taken_for_a_refused_write(tmp_path: Path) -> None:
    missing = tmp_path / "input"
    with pytest.raises(Exception, match="input") as caught, Files(tmp_path).replace("file") as stream:
        stream.write(missing.read_bytes())
    assert "cannot write" not in str(caught.value)
    assert files_below(tmp_path) == {}


def test_file_and_folder_are_synced_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        real_sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        events.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    with replace_local(tmp_path / "file") as stream:
        stream.write(b"content")
    assert events == ["sync file", "rename", "sync folder"]
