"""A file or folder that is put in place keeps the link, the mode and the group of what it replaces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from visdiv_assets.storage.files import replace_local
from visdiv_assets.storage.put_in_place import put_in_place, real_path


def other_group() -> int:
    """Return a group other than that of new files that this user may give to a file."""
    groups = [12345] if os.geteuid() == 0 else [group for group in os.getgroups() if group != os.getegid()]
    if not groups:
        pytest.skip("this user is in one group only")
    return groups[0]


def replace_file(target: Path) -> None:
    with replace_local(target) as stream:
        stream.write(b"new")


def test_the_file_that_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "file").write_bytes(b"old")
    (tmp_path / "second").symlink_to("shared/file")
    (tmp_path / "first").symlink_to("second")
    replace_file(tmp_path / "first")
    assert (tmp_path / "shared" / "file").read_bytes() == b"new"
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["file"]


def test_a_link_that_leads_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        real_path(tmp_path / "loop")


def test_mode_and_group_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    os.chown(target, -1, other_group())
    target.chmod(0o660)
    replace_file(target)
    assert target.read_bytes() == b"new"
    assert (target.stat().st_gid, target.stat().st_mode & 0o7777) == (other_group(), 0o660)


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_nobody_else_reads_the_new_content_of_a_private_file(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    target.chmod(mode)
    with replace_local(target) as stream:
        stream.write(b"new")
        (aside,) = [path for path in tmp_path.iterdir() if path != target]
        assert aside.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_mode & 0o777 == mode


def test_another_group_does_not_get_the_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    os.chown(target, -1, other_group())
    target.chmod(0o664)

    def refuse(*arguments: object) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    replace_file(target)
    assert target.stat().st_mode & 0o777 == 0o604


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "aside").touch()
    usual = (tmp_path / "aside").stat().st_mode
    put_in_place(tmp_path / "aside", tmp_path / "file")
    assert (tmp_path / "file").stat().st_mode == usual
