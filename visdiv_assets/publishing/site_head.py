"""The head that the pages of the site and the reports share: the dataset, the date, and links to all pages.

Reports are written by runs, the site by `visdiv report`. Until the site is written, short pages stand in for it, so
that no link of a report leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from visdiv_assets.publishing.html_files import content_policy, read_template, template, write_page
from visdiv_assets.sources.about import dataset_name

#: Folder of the site in the folder of the reports.
FOLDER = "site"

#: Titles of the pages of the site by their files, in the order of the navigation.
SITE_PAGES = {
    "index.html": "Overview",
    "clean_copy.html": "Clean copy",
    "contamination.html": "Contamination",
    "texts.html": "Texts",
    "modalities.html": "Leaks across modalities",
    "overlap.html": "Overlap",
    "clusters.html": "Groups of copies",
    "diversity.html": "Diversity",
    "thresholds.html": "Thresholds",
    "quality.html": "Quality",
    "image_types.html": "Image types",
    "inappropriate.html": "Inappropriate content",
    "alignment.html": "CLIP",
    "maps.html": "Maps",
    "selection.html": "Selection",
}


@dataclass(frozen=True, slots=True)
class SiteHead:
    """What the head of a page says.

    Attributes:
        dataset: name of the dataset.
        date: the state of the findings: a date and a time in UTC.
        current: file of the page in the site; empty for a page outside of it.
        to_site: address of the site's folder, relative to the page's folder, with a slash at its end unless empty.
    """

    dataset: str
    date: str
    current: str = ""
    to_site: str = ""

    @property
    def links(self) -> list[tuple[str, str, bool]]:
        """Address and title of each page of the site, and whether it is the current page."""
        return [(self.to_site + file, title, file == self.current) for file, title in SITE_PAGES.items()]


def report_head(source: str) -> SiteHead:
    """Return the head of a report that is written now, in a folder beside the site.

    Args:
        source: location of the dataset.
    """
    return SiteHead(dataset_name(source), format_date(datetime.now(UTC)), to_site=f"../{FOLDER}/")


def format_date(moment: datetime) -> str:
    """Return a moment as pages show it: "2026-01-31 12:05 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def write_missing_pages(reports: Path, head: SiteHead) -> None:
    """Write a page for each page of the site that does not exist: it says which command writes the site.

    Args:
        reports: folder of the reports.
        head: what the pages say of the dataset.

    Raises:
        StorageError: a page cannot be written.
    """
    styles = {"page": read_template("page.css"), "site": read_template("site.css")}
    for file, title in SITE_PAGES.items():
        path = reports / FOLDER / file
        if not path.exists():
            page = template("not_written.html").render(
                title=title,
                head=SiteHead(head.dataset, head.date, file),
                styles=styles,
                policy=content_policy(styles.values()),
            )
            write_page(page, path)
