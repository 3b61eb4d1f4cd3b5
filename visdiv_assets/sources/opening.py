"""From what the user wrote to the source that reads it."""

from __future__ import annotations

import os
from pathlib import Path

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import files, image_folder, parquet_folder
from visdiv_assets.sources.catalog import FINEVISION_LIST, benchmarks_on
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.hub.source import HubSource
from visdiv_assets.sources.interface import Kind, Source

EXPECTED = (
    "a folder with subsets/<name>/*.parquet (and benchmarks/<name>/*.parquet), "
    "a folder with <name>/*.parquet, folders of images, or hf://datasets/<owner>/<name>"
)


def open_source(
    uri: str | os.PathLike[str],
    *,
    downloads: Downloads | None = None,
    benchmark_catalog: str = "",
    benchmark_list: str = FINEVISION_LIST,
) -> Source:
    """Open a place that rows come from. Looks at folders only; files are opened, and the Hub asked, when they are read.

    Args:
        uri: a folder, absolute or relative to the working directory: with `subsets/<name>/*.parquet`, with
            `<name>/*.parquet`, or with images, looked for in this order; or a dataset on the Hugging Face Hub,
            `hf://datasets/<owner>/<name>` with or without `@revision`.
        downloads: how files from the Hub are fetched, and where they are kept.
        benchmark_catalog: file with the benchmarks that a source on the Hub has; empty: the packaged one.
        benchmark_list: which lists of it, with commas between; empty: all.

    Raises:
        SourceError: there is no such folder, it holds none of these, or the place is of another kind.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> from visdiv_assets import open_source
        >>> with TemporaryDirectory() as folder:
        ...     (Path(folder) / "cats").mkdir()
        ...     Image.new("RGB", (8, 8), "orange").save(Path(folder) / "cats" / "tom.png")
        ...     open_source(folder).subsets()
        ['cats']
    """
    text = os.fspath(uri)
    if text.startswith("hf://"):
        return HubSource(text, downloads=downloads, benchmarks=benchmarks_on(benchmark_list, benchmark_catalog or None))
    if "://" in text:
        raise SourceError(f"{text} is not a place this version can read: give {EXPECTED}")
    root = Path(text)
    if not text or not root.exists():
        raise SourceError(f"there is no folder {text!r} (looked in {Path.cwd()}): give {EXPECTED}")
    if not root.is_dir():
        raise SourceError(f"{text} is a file, not a folder: give {EXPECTED}")
    subsets = root / Kind.SUBSET.value
    of_images = subsets.is_dir() and not any(files.walk(subsets, parquet_folder.SUFFIXES))
    of_images = of_images and any(files.walk(subsets, image_folder.SUFFIXES))
    if not of_images and (subsets.is_dir() or parquet_folder.hub_layout(root)):
        return parquet_folder.ParquetFolderSource(text)
    if any(files.walk(root, image_folder.SUFFIXES)):
        return image_folder.ImageFolderSource(text)
    hint = ""
    if files.files_in(root, parquet_folder.SUFFIXES):
        hint = " (Parquet files lie directly in it: give the folder above it, so that each subset has a name)"
    raise SourceError(f"{text} holds nothing to read{hint}: give {EXPECTED}")
