"""The reports that the server of the UI serves, and the page that says where to start."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from visdiv_assets.orchestration.presentation import report_url
from visdiv_assets.orchestration.web.reports import report_routes
from visdiv_assets.storage.files import escape

SUBSET = "geoqa+(x) <b>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of reports on a subset, beside a file that is no report."""
    reports = tmp_path / "reports"
    (reports / "duplicates").mkdir(parents=True)
    (reports / "duplicates" / f"{escape(SUBSET)}.html").write_text("<p>pairs")
    (reports / "duplicates" / "some.html").write_text("<p>pairs")
    (reports / ".aside.html").write_text("unfinished")
    (tmp_path / "visdiv.duckdb").write_text("data")
    (reports / "link.html").symlink_to(tmp_path / "visdiv.duckdb")
    return reports


@pytest.fixture
def client(folder: Path) -> TestClient:
    return TestClient(Starlette(routes=report_routes(folder)))


def test_a_report_is_served_in_a_sandbox(client: TestClient) -> None:
    answer = client.get("/reports/duplicates/some.html")
    assert (answer.status_code, answer.text) == (200, "<p>pairs")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-same-origin" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/reports/../visdiv.duckdb",
        "/reports/%2e%2e/visdiv.duckdb",
        "/reports/..%2fvisdiv.duckdb",
        "/reports/duplicates/%2e%2e/%2e%2e/visdiv.duckdb",
        "/reports//etc/passwd",
        "/reports/link.html",
        "/reports/.aside.html",
        "/reports/duplicates",
        "/reports/duplicates/",
        "/reports/none.html",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_reports_are_read_only(client: TestClient, folder: Path, method: str) -> None:
    url = report_url(folder / "duplicates" / f"{escape(SUBSET)}.html", folder)
    assert client.request(method, url).status_code == 405


def test_the_page_where_to_start_links_to_jobs_and_reports(client: TestClient, folder: Path) -> None:
    page = client.get("/start").text
    assert 'href="/locations/visdiv_assets.definitions/jobs/subset_pipeline"' in page
    url = report_url(folder / "duplicates" / f"{escape(SUBSET)}.html", folder)
    assert f'<a href="{url}"><bdi>geoqa+(x) &lt;b&gt;</bdi></a>' in page
    assert "<code>visdiv report</code> writes a report" in page


def test_the_site_is_the_first_page_once_it_is_written(client: TestClient, folder: Path) -> None:
    assert client.get("/reports/", follow_redirects=False).headers["location"] == "/start"
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("<p>site")
    assert client.get("/reports").text == "<p>site"
    assert "/reports/site/index.html" in client.get("/start").text


def test_a_folder_that_does_not_exist_yet_is_no_error(tmp_path: Path) -> None:
    client = TestClient(Starlette(routes=report_routes(tmp_path / "none")))
    assert "There are no reports" in client.get("/start").text
