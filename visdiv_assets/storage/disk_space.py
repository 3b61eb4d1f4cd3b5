"""Free space on a disk: a run stops before it fills the disk, so that other programs can still write."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from visdiv_assets.errors import StorageError

GIGABYTE = 10**9


class Space(NamedTuple):
    """Size and free space of a disk, in bytes."""

    total: int
    free: int


def space_of(folder: Path) -> Space:
    """Return the size and free space of the disk that holds a folder, or will hold it once it exists."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    usage = shutil.disk_usage(existing)
    return Space(usage.total, usage.free)


def reserve_on(space: Space, reserve_bytes: int) -> int:
    """Return the bytes to leave free on a disk: the reserve, but at most a tenth of the disk."""
    return min(reserve_bytes, space.total // 10)


def require_space(folder: Path, reserve_bytes: int) -> None:
    """Raise if a disk has less free space than the reserve.

    Args:
        folder: the folder that is about to be written.
        reserve_bytes: bytes to leave free; 0 for no reserve.

    Raises:
        StorageError: less is free.
    """
    if not reserve_bytes:
        return
    space = space_of(folder)
    reserve = reserve_on(space, reserve_bytes)
    if space.free < reserve:
        raise StorageError(
            f"the disk of {folder} has {space.free / GIGABYTE:.2f} GB free, less than the reserve of "
            f"{reserve / GIGABYTE:.2f} GB: free some space (`visdiv gc` lists what can be removed) or lower "
            "VISDIV_DISK_RESERVE_GIGABYTES, then start the run again; finished work is kept"
        )
