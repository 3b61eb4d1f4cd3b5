"""Open the source that a user names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from visdiv_assets.errors import SourceError
from visdiv_assets.sources import image_folder, parquet_folder, saved_datasets
from visdiv_assets.sources.catalog import FINEVISION_LIST, benchmarks_on
from visdiv_assets.sources.downloads import Downloads
from visdiv_assets.sources.hub.source import HubSource
from visdiv_assets.sources.interface import Kind, Source
from visdiv_assets.sources.reading import Reading

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

EXPECTED = (
    "a folder with subsets/<name>/*.parquet (and benchmarks/<name>/*.parquet), "
    "a folder with Parquet files in the layout of the Hub, folders of images, "
    "a folder written by datasets' save_to_disk, or hf://datasets/<owner>/<name>"
)


def open_source(
    uri: str | os.PathLike[str] | Dataset | DatasetDict,
    *,
    downloads: Downloads | None = None,
    benchmark_catalog: str = "",
    benchmark_list: str = FINEVISION_LIST,
    reading: Reading | None = None,
) -> Source:
    """Open a source of rows.

    Only folders are looked at, and where image files lie beside Parquet files, the schema of these; other files are
    opened, and the Hub is asked, when rows are read.

    Args:
        uri: a folder, absolute or relative to the working directory; or a dataset on the Hugging Face Hub,
            `hf://datasets/<owner>/<name>` with or without `@revision`; or a `datasets.Dataset` or
            `datasets.DatasetDict`. A folder is one of these, looked for in this order: a dataset written by
            `save_to_disk`; `subsets/<name>/*.parquet`; folders written by `save_to_disk`
            (`saved_datasets.SavedDatasetsSource` names their subsets); Parquet files in the layout of a repository on
            the Hub (`layout.subsets_of`), if they hold images or there are no image files; images.
        downloads: how files from the Hub are fetched, and where they are cached.
        benchmark_catalog: file with the benchmarks of a source on the Hub; empty: the packaged catalog.
        benchmark_list: lists of the catalog to use, separated by commas; empty: all.
        reading: the split and the columns that are read; None: the defaults.

    Raises:
        SourceError: the folder does not exist or holds none of these, or the URI has another scheme.

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
    reading = reading or Reading()
    if _is_loaded(uri):
        from visdiv_assets.sources.in_memory import DatasetSource

        return DatasetSource(uri, reading)
    text = os.fspath(uri)
    if text.startswith("hf://"):
        benchmarks = benchmarks_on(benchmark_list, benchmark_catalog or None)
        return HubSource(text, downloads=downloads, benchmarks=benchmarks, reading=reading)
    if "://" in text:
        raise SourceError(f"{text} is not a kind of source that can be read: give {EXPECTED}")
    root = Path(text)
    if not text or not root.exists():
        raise SourceError(f"there is no folder {text!r} (looked in {Path.cwd()}): give {EXPECTED}")
    if not root.is_dir():
        raise SourceError(f"{text} is a file, not a folder: give {EXPECTED}")
    return _open_folder(root, text, reading)


def _is_loaded(value: object) -> TypeGuard[Dataset | DatasetDict]:
    """Return whether a value is an object of the library `datasets`, without importing it."""
    return any(base.__module__.partition(".")[0] == "datasets" for base in type(value).__mro__)


def _open_folder(root: Path, text: str, reading: Reading) -> Source:
    if saved_datasets.is_saved(root):
        return saved_datasets.SavedDatasetsSource(text, reading)
    subsets = root / Kind.SUBSET.value
    holder = subsets if subsets.is_dir() else root
    has_parquet = parquet_folder.has_parquet(holder)
    if saved_datasets.holds_saved(root) and not (has_parquet and subsets.is_dir()):
        return saved_datasets.SavedDatasetsSource(text, reading)
    rows = parquet_folder.ParquetFolderSource(text, reading)
    if has_parquet and (subsets.is_dir() or not image_folder.has_images(root) or _holds_images(rows)):
        return rows
    if image_folder.has_images(holder):
        return image_folder.ImageFolderSource(text, reading)
    if has_parquet or subsets.is_dir():
        return rows
    raise SourceError(f"{text} holds nothing to read: give {EXPECTED}")


def _holds_images(source: Source) -> bool:
    """Return whether the Parquet files beside image files hold images, rather than words about them."""
    for name in source.subsets():
        try:
            source.columns_taken(Kind.SUBSET, name)
        except SourceError:
            continue
        return True
    return False
