"""What the program leaves below its data folder beside the lake: killed writers' files, reports on what is gone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from visdiv_assets.errors import VisdivError
from visdiv_assets.storage.files import is_temporary, unescape
from visdiv_assets.storage.garbage import TEMPORARY, TEMPORARY_AGE, VANISHED, Findings, Garbage, Request

#: Folders of a data folder that are written to with temporary files, itself among them.
_WRITTEN = (".", "weights", "downloads", "reports/duplicates", "reports/leaks")


def collect_leftovers(data_folder: Path, request: Request) -> Findings:
    """Find what can go of a data folder, its lake and Dagster's state aside, and remove it if asked.

    Raises:
        VisdivError: something cannot be removed.
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
        raise VisdivError(f"cannot remove {path}: {error.strerror}: mend the permissions") from error
