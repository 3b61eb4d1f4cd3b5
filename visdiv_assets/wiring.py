"""From the settings to the lake."""

from __future__ import annotations

from pathlib import Path

from visdiv_assets.settings import Settings
from visdiv_assets.storage.array_cache import ArrayCache
from visdiv_assets.storage.disk_space import GIGABYTE
from visdiv_assets.storage.lake import Lake


def open_lake(settings: Settings) -> Lake:
    """Open the lake that the settings name, to read it; see `lake_at`."""
    return lake_at(
        settings.lake_root,
        vectors_folder=str(settings.vectors_folder) if settings.is_remote else "",
        cache_bytes=round(settings.vector_cache_gigabytes * GIGABYTE),
    )


def lake_at(root: str, *, reserve_bytes: int = 0, vectors_folder: str = "", cache_bytes: int = 0) -> Lake:
    """Open a lake, on object storage with local copies of its vectors.

    Args:
        root: a local folder, or a URI.
        reserve_bytes: what stays free on the local disk.
        vectors_folder: where copies are kept; empty: nowhere.
        cache_bytes: size of all copies together.

    Raises:
        VisdivError: the URI is not understood.
    """
    cache = ArrayCache(Path(vectors_folder), cache_bytes, reserve_bytes) if vectors_folder else None
    return Lake(root, reserve_bytes=reserve_bytes, cache=cache)
