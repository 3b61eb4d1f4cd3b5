"""Serve the reports beside Dagster's pages, read-only, and the page that says where to start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from visdiv_assets.orchestration.presentation import REPORTS, report_url
from visdiv_assets.orchestration.run_origin import DEFINITIONS
from visdiv_assets.orchestration.web import START
from visdiv_assets.publishing.html_files import content_policy, read_template, template
from visdiv_assets.publishing.site_head import FOLDER
from visdiv_assets.storage.files import unescape

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

#: The first page of the site. Until `visdiv report` writes it, a short page that says so stands in for it.
_SITE = f"{FOLDER}/index.html"

#: Folders of reports on single subsets and benchmarks, with what they are called on the page.
_FOLDERS = {
    "leaks": "Benchmark images in the training data",
    "duplicates": "Copies within a subset",
    "maps": "Maps of a subset",
}

#: A report shows texts of datasets. In a sandbox its scripts cannot send requests to Dagster, whose server has no
#: login, or read its pages.
SAFE_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-downloads; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ReportFiles(StaticFiles):
    """The files in the folder of reports: only their content, no listing, nothing hidden and nothing outside it."""

    def __init__(self, folder: Path) -> None:
        """Serve a folder, which need not exist yet."""
        super().__init__(directory=folder, check_dir=False, follow_symlink=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file with the headers of a sandbox.

        Raises:
            HTTPException: there is no such file, or the method is not GET or HEAD.
        """
        if any(part.startswith(".") and part != "." for part in Path(path).parts):
            raise HTTPException(status_code=404)
        response = await super().get_response(path, scope)
        response.headers.update(SAFE_HEADERS)
        return response


def report_routes(folder: Path) -> list[BaseRoute]:
    """Return the routes of the reports in a folder, and of the page that says where to start."""

    async def start(request: Request) -> Response:
        content = _content(folder)
        headers = SAFE_HEADERS | {"Content-Security-Policy": f"{content['policy']}; frame-ancestors 'none'"}
        return HTMLResponse(template("start.html").render(**content), headers=headers)

    async def site(request: Request) -> Response:
        return RedirectResponse(f"{REPORTS}/{_SITE}" if (folder / _SITE).is_file() else START)

    return [
        Route(START, start),
        Route(REPORTS, site),
        Route(f"{REPORTS}/", site),
        Mount(REPORTS, ReportFiles(folder), name="reports"),
    ]


def _content(folder: Path) -> Mapping[str, Any]:
    """Return what the page that says where to start shows."""
    styles = read_template("start.css")
    found = {}
    for name, title in _FOLDERS.items():
        paths = sorted((folder / name).glob("*.html"))
        found[title] = [(unescape(path.stem), report_url(path, folder)) for path in paths]
    return {
        "policy": content_policy([styles]),
        "styles": styles,
        "jobs": f"/locations/{DEFINITIONS}/jobs",
        "site": f"{REPORTS}/{_SITE}" if (folder / _SITE).is_file() else "",
        "reports": {title: links for title, links in found.items() if links},
    }
