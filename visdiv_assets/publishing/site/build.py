"""The site as a whole: written aside, then put in place by renames."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from visdiv_assets.progress import Progress, silent
from visdiv_assets.publishing.html_files import write_page
from visdiv_assets.publishing.site import clusters, contamination, diversity, overlap, overview, quality, thresholds
from visdiv_assets.publishing.site.page_model import Page
from visdiv_assets.publishing.site.render import SCRIPT, render
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import sync_folder, temporary_beside

#: The site's folder among the reports.
FOLDER = "site"

#: What makes each page, in the order of the navigation.
PAGES: tuple[Callable[[Corpus], Page], ...] = (
    overview.page,
    contamination.page,
    overlap.page,
    diversity.page,
    thresholds.page,
    clusters.page,
    quality.page,
)

#: Makes Vega's parts known to the pages' own script.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def build_site(corpus: Corpus, progress: Progress = silent) -> Path:
    """Write all pages, and put them in place of the site that was there.

    Args:
        corpus: what the pages are made of.
        progress: told of every page.

    Returns:
        The page to open, `index.html`.

    Raises:
        VisdivError: an image or number cannot be read, the disk is full, or the place cannot be written; the site that
            was there before stays.
    """
    folder = corpus.reports / FOLDER
    pages = []
    for make in PAGES:
        pages.append(make(corpus))
        progress(1)
    aside = temporary_beside(folder)
    try:
        _write(corpus, pages, aside)
        _put_in_place(aside, folder)
    except OSError as error:
        raise write_error(str(folder), error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder / "index.html"


def _write(corpus: Corpus, pages: Sequence[Page], folder: Path) -> None:
    about = f"The numbers are those of {_published(corpus)}."
    for page in pages:
        html = render(page, pages, about, limits=corpus.limits)
        write_page(html, folder / page.file)
    write_page(bundle(), folder / SCRIPT)


def _published(corpus: Corpus) -> str:
    found = corpus.warehouse.rows("SELECT max(materialized_at)::VARCHAR AS last FROM provenance")
    last = str(found[0]["last"]).partition(".")[0]
    return "the DuckDB file, which is empty" if found[0]["last"] is None else f"the DuckDB file, last of {last} UTC"


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which needs no network."""
    import vl_convert

    script: str = vl_convert.javascript_bundle(_SNIPPET)
    return script


def _put_in_place(aside: Path, folder: Path) -> None:
    """Two renames, since no call exchanges folders everywhere; if the second fails, the first is taken back."""
    old = temporary_beside(folder)
    if folder.exists():
        folder.replace(old)
    try:
        aside.replace(folder)
    except OSError:
        with suppress(OSError):
            old.replace(folder)
        raise
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
