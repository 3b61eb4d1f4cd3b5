"""The web server of the UI with its guard and the reports; run as `python -m`, by `web.services`."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import dagster_webserver.app
from dagster_webserver.cli import main
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from visdiv_assets.orchestration.web import END
from visdiv_assets.orchestration.web.reports import report_routes
from visdiv_assets.publishing.web.guard import Guard
from visdiv_assets.settings import load_settings


def guarded(names: Collection[str], reports: Path) -> type[DagsterWebserver[Any, Any]]:
    """Return Dagster's web server with the guard before all else, and the reports beside its pages.

    Args:
        names: as for `Guard`.
        reports: folder of the reports.
    """

    class GuardedWebserver(DagsterWebserver[Any, Any]):
        def build_middleware(self) -> list[Middleware]:
            return [Middleware(Guard, names=names), *super().build_middleware()]

        def build_routes(self) -> list[BaseRoute]:
            # Dagster's own last route answers every path.
            own = super().build_routes()  # type: ignore[no-untyped-call]
            return [*report_routes(reports), *own]

    return GuardedWebserver


def run(arguments: list[str]) -> None:
    """Run the server: names of this server, `END`, arguments of Dagster's web server."""
    end = arguments.index(END)
    vars(dagster_webserver.app)["DagsterWebserver"] = guarded(arguments[:end], load_settings().reports_folder)
    sys.argv = ["dagster-webserver", *arguments[end + 1 :]]
    main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(sys.argv[1:])
