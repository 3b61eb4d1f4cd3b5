"""Write all pages of the site aside and put them in place by renames."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from visdiv_assets.extras import require_extra
from visdiv_assets.progress import Progress, silent
from visdiv_assets.publishing.html_files import write_page
from visdiv_assets.publishing.site import (
    alignment,
    clean_copy,
    clusters,
    contamination,
    diversity,
    image_types,
    inappropriate,
    maps,
    modalities,
    overlap,
    overview,
    quality,
    selection,
    texts,
    thresholds,
)
from visdiv_assets.publishing.site.page_model import Page
from visdiv_assets.publishing.site.render import SCRIPT, render
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.publishing.site_head import FOLDER, SiteHead
from visdiv_assets.sources.about import dataset_name
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import temporary_beside
from visdiv_assets.storage.put_in_place import keep_access, put_in_place, real_path

#: Functions that make the pages, in the order of the navigation.
PAGES: tuple[Callable[[Corpus], Page], ...] = (
    overview.page,
    clean_copy.page,
    contamination.page,
    texts.page,
    modalities.page,
    overlap.page,
    clusters.page,
    diversity.page,
    thresholds.page,
    quality.page,
    image_types.page,
    inappropriate.page,
    alignment.page,
    maps.page,
    selection.page,
)

#: Exposes Vega-Embed to the script of the pages.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def build_site(corpus: Corpus, progress: Progress = silent) -> Path:
    """Write all pages and replace an older site with them.

    Args:
        corpus: the data of the pages.
        progress: called with 1 after every page.

    Returns:
        path of the first page, `index.html`.

    Raises:
        ConfigError: vl_convert is not installed.
        VisdivError: the data cannot be read or the folder cannot be written; an older site stays in place.
    """
    folder = corpus.reports / FOLDER
    script = bundle()
    pages = []
    for make in PAGES:
        pages.append(make(corpus))
        progress(1)
    aside = None
    try:
        target = real_path(folder)
        aside = temporary_beside(target)
        _write(corpus, pages, script, aside)
        _put_in_place(aside, target)
    except OSError as error:
        raise write_error(str(folder), error) from error
    finally:
        if aside:
            shutil.rmtree(aside, ignore_errors=True)
    return folder / "index.html"


def refresh_page(corpus: Corpus, make: Callable[[Corpus], Page]) -> None:
    """Write one page of an existing site again: one without charts, whose scripts need the whole site.

    Args:
        corpus: the data of the page.
        make: one of `PAGES`.

    Raises:
        StorageError: the page cannot be written.
    """
    page = make(corpus)
    path = corpus.reports / FOLDER / page.file
    if path.is_file():
        write_page(render(page, replace(_head(corpus), current=page.file)), path)


def _write(corpus: Corpus, pages: Sequence[Page], script: str, folder: Path) -> None:
    head = _head(corpus)
    for page in pages:
        write_page(render(page, replace(head, current=page.file)), folder / page.file)
    write_page(script, folder / SCRIPT)


def _head(corpus: Corpus) -> SiteHead:
    """Return the head of all pages: the dataset, and the time of the latest result."""
    (found,) = corpus.warehouse.rows("SELECT strftime(max(materialized_at), '%Y-%m-%d %H:%M') AS last FROM provenance")
    published = corpus.warehouse.rows_of("meta", "SELECT source FROM meta")
    source = next((row["source"] for row in published), None)
    date = f"{found['last']} UTC" if found["last"] else "no results yet"
    return SiteHead(dataset_name(source) if source else "dataset", date)


def bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which needs no network.

    Raises:
        ConfigError: vl_convert is not installed.
    """
    return _bundle_of(require_extra("vl_convert", "reports"))


@cache
def _bundle_of(vl_convert: ModuleType) -> str:
    """Make the script once in a process, since that takes a second."""
    script: str = vl_convert.javascript_bundle(_SNIPPET)
    return script


def _put_in_place(aside: Path, folder: Path) -> None:
    """Replace the folder by two renames, since not every platform can exchange two folders.

    If the second rename fails, the first one is undone.
    """
    old = temporary_beside(folder)
    if folder.exists():
        keep_access(aside, folder)
        folder.replace(old)
    try:
        put_in_place(aside, folder)
    except OSError:
        with suppress(OSError):
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
