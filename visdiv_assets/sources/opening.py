"""From what the user wrote to the source that reads it."""

from __future__ import annotations

import os
from pathlib import Path

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import files, folder, pictures
from visdiv_assets.sources.interface import Kind, Source

EXPECTED = (
    "a folder with subsets/<name>/*.parquet (and benchmarks/<name>/*.parquet), "
    "a folder with <name>/*.parquet, or a folder of pictures"
)


def open_source(uri: str | os.PathLike[str]) -> Source:
    """Open a place that rows come from. Looks at folders only; files are opened when they are read.

    Args:
        uri: a folder, absolute or relative to the working directory: with `subsets/<name>/*.parquet`, with
            `<name>/*.parquet`, or with pictures; looked for in this order.

    Raises:
        VisdivError: there is no such folder, it holds none of these, or the place is of a kind that this
        version cannot
            read, such as `hf://datasets/...`.
    """
    text = os.fspath(uri)
    if text.startswith("hf://"):
        raise VisdivError(
            f"{text}: the Hugging Face Hub is not supported by this version yet: "
            f"download the files and give their folder"
        )
    if "://" in text:
        raise VisdivError(f"{text} is not a place this version can read: give {EXPECTED}")
    root = Path(text)
    if not text or not root.exists():
        raise VisdivError(f"there is no folder {text!r} (looked in {Path.cwd()}): give {EXPECTED}")
    if not root.is_dir():
        raise VisdivError(f"{text} is a file, not a folder: give {EXPECTED}")
    if (root / Kind.SUBSET.value).is_dir() or folder.hub_layout(root):
        return folder.ParquetFolderSource(text)
    if any(files.walk(root, pictures.SUFFIXES)):
        return pictures.PictureFolderSource(text)
    hint = ""
    if files.files_in(root, folder.SUFFIXES):
        hint = " (Parquet files lie directly in it: give the folder above it, so that each subset has a name)"
    raise VisdivError(f"{text} holds nothing to read{hint}: give {EXPECTED}")
