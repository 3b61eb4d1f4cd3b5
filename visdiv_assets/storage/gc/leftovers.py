"""Garbage in the data folder outside the lake.

This is temporary files of killed writers, reports on vanished subsets, and local copies of vectors that no manifest
refers to any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.array_cache import find_unreferenced_copies
from visdiv_assets.storage.files import is_temporary, unescape
from visdiv_assets.storage.gc.units import SUPERSEDED, TEMPORARY, TEMPORARY_AGE, VANISHED, Findings, Garbage, Request

#: Folders in which writers create temporary files, relative to the data folder.
_WRITTEN_FOLDERS = (".", "weights", "downloads", "reports", "reports/duplicates", "reports/leaks")


def collect_leftovers(data_folder: Path, request: Request) -> Findings:
    """Find the garbage in a data folder, except in its lake and in Dagster's state, and remove it if requested.

    Raises:
        StorageError: a file cannot be removed.
    """
    findings = Findings()
    for path, why in _find(data_folder, request):
        files = [file for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        part = Garbage(
            str(path.parent.relative_to(data_folder)),
            unescape(path.stem) if why == VANISHED else path.name,
            why,
            len(files),
            sum(file.stat().st_size for file in files),
        )
        if not request.removes(why):
            findings.vanished.append(part)
            continue
        findings.garbage.append(part)
        if request.delete:
            _remove(path)
    return findings


def collect_copies(folder: Path, referenced: Collection[str], request: Request) -> Findings:
    """Find the local copies of vectors that no manifest refers to, and remove them if requested.

    Args:
        folder: the folder of the copies.
        referenced: the SHA-256 of all files that manifests list, as `units.collect` found them.
        request: what counts as garbage, and whether to remove it.

    Raises:
        StorageError: a copy cannot be removed.
    """
    findings = Findings()
    # A copy that was used recently may belong to a partition that was committed after the manifests were read.
    unreferenced = find_unreferenced_copies(folder, referenced)
    old = [path for path in unreferenced if request.now - path.stat().st_mtime > TEMPORARY_AGE]
    if old:
        size = sum(path.stat().st_size for path in old)
        findings.garbage.append(Garbage(folder.name, "local copies", SUPERSEDED, len(old), size))
    if request.delete:
        for path in old:
            _remove(path)
    return findings


def _find(data_folder: Path, request: Request) -> Iterator[tuple[Path, str]]:
    for name in _WRITTEN_FOLDERS:
        folder = data_folder / name
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if is_temporary(path.name):
                if request.now - path.stat().st_mtime > TEMPORARY_AGE:
                    yield path, TEMPORARY
            elif (
                folder.parent.name == "reports" and path.suffix == ".html" and request.has_vanished(unescape(path.stem))
            ):
                yield path, VANISHED


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {error.strerror}: fix the permissions") from error
