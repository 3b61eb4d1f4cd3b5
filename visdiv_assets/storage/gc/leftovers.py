"""What the program leaves below its data folder beside the lake.

These are killed writers' files, reports on what is gone, and copies of vectors that object storage no longer has.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.array_cache import unnamed_copies
from visdiv_assets.storage.files import is_temporary, unescape
from visdiv_assets.storage.gc.units import SUPERSEDED, TEMPORARY, TEMPORARY_AGE, VANISHED, Findings, Garbage, Request

#: Folders of a data folder that are written to with temporary files, itself among them.
_WRITTEN = (".", "weights", "downloads", "reports", "reports/duplicates", "reports/leaks")


def collect_leftovers(data_folder: Path, request: Request) -> Findings:
    """Find what can go of a data folder, its lake and Dagster's state aside, and remove it if asked.

    Raises:
        StorageError: something cannot be removed.
    """
    findings = Findings()
    for path, why in _found(data_folder, request):
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


def collect_copies(folder: Path, named: Collection[str], request: Request) -> Findings:
    """Find the copies of vectors that no manifest names any more, and remove them if asked.

    Args:
        folder: of the copies.
        named: the SHA-256 of all files that manifests name, as `garbage.collect` found them.
        request: what is wanted.

    Raises:
        StorageError: one cannot be removed.
    """
    findings = Findings()
    # One that was used just now may be of a partition that was committed just now.
    old = [path for path in unnamed_copies(folder, named) if request.now - path.stat().st_mtime > TEMPORARY_AGE]
    if old:
        size = sum(path.stat().st_size for path in old)
        findings.garbage.append(Garbage(folder.name, "local copies", SUPERSEDED, len(old), size))
    if request.delete:
        for path in old:
            _remove(path)
    return findings


def _found(data_folder: Path, request: Request) -> Iterator[tuple[Path, str]]:
    for name in _WRITTEN:
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
        raise StorageError(f"cannot remove {path}: {error.strerror}: mend the permissions") from error
