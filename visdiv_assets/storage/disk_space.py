"""Free space on a disk: a run stops while there is some left, before it fills the disk for everybody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from visdiv_assets.errors import StorageError

GIGABYTE = 10**9


class Space(NamedTuple):
    """A disk's size and what is free of it, in bytes."""

    total: int
    free: int


def space_of(folder: Path) -> Space:
    """The disk that a folder lies on, or will lie on when it is made."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    usage = shutil.disk_usage(there)
    return Space(usage.total, usage.free)


def reserve_on(space: Space, reserve_bytes: int) -> int:
    """Bytes that stay free: the reserve that is set, or a tenth of a disk that is small beside it."""
    return min(reserve_bytes, space.total // 10)


def require_space(folder: Path, reserve_bytes: int) -> None:
    """Refuse to write where less is free than the reserve.

    Args:
        folder: where something is about to be written.
        reserve_bytes: what is to stay free; 0 for no reserve.

    Raises:
        StorageError: less is free.
    """
    if not reserve_bytes:
        return
    space = space_of(folder)
    reserve = reserve_on(space, reserve_bytes)
    if space.free < reserve:
        raise StorageError(
            f"the disk of {folder} has {space.free / GIGABYTE:.2f} GB free, less than the {reserve / GIGABYTE:.2f} GB "
            "that VISDIV_DISK_RESERVE_GIGABYTES keeps: free some space (`visdiv gc` shows what can go) or set it "
            "lower, then start the run again; what is finished is kept"
        )
