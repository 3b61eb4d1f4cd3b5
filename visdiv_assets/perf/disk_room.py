"""The free disk space that a rehearsal needs."""

from __future__ import annotations

from pathlib import Path

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.disk_space import GIGABYTE, reserve_on, space_of

#: Bytes of disk for each image of a rehearsal with vectors, and for its benchmarks together.
BYTES_PER_VECTOR, BENCHMARK_BYTES = 5_000, 2 * GIGABYTE

#: Bytes of disk for each image of a rehearsal with images: the image, and all that is stored of it.
BYTES_PER_IMAGE = 150_000


def require_room(folder: Path, images: int, needed: int, reserve_gigabytes: float) -> None:
    """Check that the disk has enough free space for a rehearsal.

    Args:
        folder: where it would be.
        images: its number of images.
        needed: bytes that it needs.
        reserve_gigabytes: gigabytes to leave free.

    Raises:
        StorageError: the disk has less.
    """
    space = space_of(folder)
    free = space.free - reserve_on(space, round(reserve_gigabytes * GIGABYTE))
    if free < needed:
        raise StorageError(
            f"a rehearsal of {images:,} images needs {needed / GIGABYTE:,.0f} GB in {folder}, but only "
            f"{max(free, 0) / GIGABYTE:.1f} GB are free beyond the reserve: free some space, or choose another folder "
            "with --folder"
        )
