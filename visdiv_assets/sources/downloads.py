"""Settings for downloads from a remote source."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


def _default_folder() -> Path:
    return Path.home() / ".cache" / "visdiv" / "downloads"


@dataclass(frozen=True)
class Downloads:
    """Settings for downloads from a remote source.

    Attributes:
        folder: the cache of fetched files; made at the first download. Several processes may share it.
        max_bytes: maximum size of the cache; the least recently used files are removed first, never one in use.
        threads: concurrent requests while the files' row counts are fetched.
        reserve_bytes: bytes to keep free on the folder's disk; cached files are removed to keep them free.
    """

    folder: Path = field(default_factory=_default_folder)
    max_bytes: int = 50 * 10**9
    threads: int = 4
    reserve_bytes: int = 0
