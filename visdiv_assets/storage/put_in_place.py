"""Put a finished local file or folder in place with one rename, as a person who linked or shared it expects."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def real_path(path: Path) -> Path:
    """Return where a file or folder lies: the end of a link, which need not exist, or else the path itself.

    Raises:
        OSError: the link leads to itself.
    """
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def put_in_place(aside: Path, target: Path) -> None:
    """Rename a file or folder to `target`, with the mode and group of what it replaces, and sync the folder.

    Args:
        aside: a finished, synced file or a folder on the same file system.
        target: where it belongs; not a link, see `real_path`.
    """
    keep_access(aside, target)
    aside.replace(target)
    sync_folder(target.parent)


def keep_access(aside: Path, target: Path) -> None:
    """Give `aside` the mode and, where this user may, the group and owner of `target`, if there is one.

    A file that cannot get the group gets none of the rights that the group had.
    """
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = aside.stat()
    mode = stat.S_IMODE(old.st_mode)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(PermissionError):
            os.chown(aside, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
        if aside.stat().st_gid != old.st_gid:
            mode &= ~stat.S_IRWXG
    if stat.S_IMODE(aside.stat().st_mode) != mode:
        aside.chmod(mode)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
