from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from visdiv_assets.publishing.site_head import (
    FOLDER,
    SITE_PAGES,
    SiteHead,
    format_date,
    report_head,
    write_missing_pages,
)


def test_a_date_is_in_utc() -> None:
    assert format_date(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04 UTC"


def test_pages_that_are_missing_say_what_to_run(tmp_path: Path) -> None:
    written = tmp_path / FOLDER / "index.html"
    written.parent.mkdir()
    written.write_text("the overview")
    write_missing_pages(tmp_path, report_head("data/sample"))
    assert written.read_text() == "the overview"
    assert {path.name for path in written.parent.iterdir()} == set(SITE_PAGES)
    page = (written.parent / "maps.html").read_text()
    assert "run <code>visdiv report</code>" in page
    assert "<bdi>sample</bdi>" in page


def test_links_of_stand_ins_lead_to_each_other(tmp_path: Path) -> None:
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(value or "" for name, value in attrs if tag == "a" and name == "href")

    write_missing_pages(tmp_path, SiteHead("<b>", "2026-01-02 03:04 UTC", to_site="../site/"))
    page = (tmp_path / FOLDER / "index.html").read_text()
    Links().feed(page)
    assert links == ["#main", *SITE_PAGES]
    assert "<bdi>&lt;b&gt;</bdi>" in page
