"""What a dataset says of itself: its name, and the license in the metadata of its README.md."""

from __future__ import annotations

from pathlib import Path

import yaml

from visdiv_assets.storage import uris

README = "README.md"

#: Bytes of a README.md that are read for the license.
_README_BYTES = 1 << 20

#: The value of `license` for one that the Hub has no name for; `license_name` has it then.
_OTHER = "other"


def dataset_name(source: str) -> str:
    """Return the name of a dataset: "owner/name" of the Hub, else the last part of its path.

    Args:
        source: its location; credentials and options in it are left out.
    """
    if not uris.is_uri(source):
        return uris.local_folder(source).name or source
    shown = uris.display(source)
    return shown.partition("hf://datasets/")[2] or shown.rpartition("/")[2] or shown


def folder_license(root: Path) -> str | None:
    """Return the license that the README.md of a folder states; None if there is none, or it states none."""
    return readme_license(root / README)


def readme_license(path: Path) -> str | None:
    """Return the license that a README.md states in its metadata; None if it cannot be read, or states none.

    Several are joined with commas. Of a license that the Hub has no identifier for, this is its name.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            text = stream.read(_README_BYTES).replace("\r\n", "\n")
        data = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---")) if text.startswith("---\n") else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(data, dict):
        return None
    found = data.get("license")
    if found == _OTHER:
        found = data.get("license_name") or found
    names = found if isinstance(found, list) else [found]
    return ", ".join(name for name in names if isinstance(name, str)) or None
