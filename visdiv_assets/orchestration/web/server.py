"""The web server of the UI with its guard; run as `python -m`, by `web.services`."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

import dagster_webserver.app
from dagster_webserver.cli import main
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from visdiv_assets.orchestration.web import END
from visdiv_assets.publishing.web.guard import Guard


def guarded(names: Collection[str]) -> type[DagsterWebserver[Any, Any]]:
    """Return Dagster's web server with the guard before all else; `names` as for `Guard`."""

    class GuardedWebserver(DagsterWebserver[Any, Any]):
        def build_middleware(self) -> list[Middleware]:
            return [Middleware(Guard, names=names), *super().build_middleware()]

    return GuardedWebserver


def run(arguments: list[str]) -> None:
    """Run the server: names of this server, `END`, arguments of Dagster's web server."""
    end = arguments.index(END)
    vars(dagster_webserver.app)["DagsterWebserver"] = guarded(arguments[:end])
    sys.argv = ["dagster-webserver", *arguments[end + 1 :]]
    main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(sys.argv[1:])
