"""Run a web application of this machine until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette

from visdiv_assets.publishing.web.address import url_of

#: Seconds that requests have to finish when the server stops.
_GRACE_SECONDS = 2


def address_of(listening: socket.socket, host: str, token: str) -> str:
    """Return the address of the page for a browser on this machine, with the token."""
    return f"{url_of(host, listening.getsockname()[1])}/#token={token}"


def serve(app: Starlette, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Args:
        app: the application.
        listening: the socket, which is closed in the end.
        ready: called once requests are answered.
    """

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    with suppress(KeyboardInterrupt):
        Server(config).run(sockets=[listening])
