"""How files of a remote source are fetched, and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


def _own_folder() -> Path:
    return Path.home() / ".cache" / "visdiv" / "downloads"


@dataclass(frozen=True)
class Downloads:
    """How files of a remote source are fetched, and where they are kept.

    Attributes:
        folder: where fetched files are kept; made when the first one comes. Several processes may share it.
        max_bytes: size of all kept files together; those used least recently go first, one that is being read never.
        threads: requests at a time while the files' row counts are fetched.
        reserve_bytes: what stays free on the folder's disk, if it is large enough: kept files go before it is touched.
    """

    folder: Path = field(default_factory=_own_folder)
    max_bytes: int = 50 * 10**9
    threads: int = 4
    reserve_bytes: int = 0
