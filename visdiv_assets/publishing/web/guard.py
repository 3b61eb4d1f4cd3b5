"""Refuse requests that other web pages make a browser send to a server of this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_ANSWER = b"visdiv refuses this request: "


class Guard:
    """ASGI middleware that answers requests of pages of this server, of typed addresses, and of programs.

    A page of another host can make a browser send requests to this server. The browser says so in headers that a page
    cannot change: Host is a name of the attacker's if that name was made to point to this machine (DNS rebinding), and
    Origin and Sec-Fetch-Site say where the page is from.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = (), command: str = "visdiv ui") -> None:
        """Guard an app.

        Args:
            app: the app.
            names: names of this server beside localhost and IP addresses, such as that of a proxy.
            command: the command that starts the server, whose option `--allow-host` adds a name.
        """
        self._app = app
        self._names = names
        self._command = command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403; a web socket is closed before it opens."""
        if scope["type"] in ("http", "websocket"):
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            websocket = scope["type"] == "websocket"
            reason = refusal(headers, scope["path"], self._names, is_websocket=websocket, command=self._command)
            if reason and websocket:
                await send({"type": "websocket.close", "code": 1008, "reason": reason})
                return
            if reason:
                plain = [(b"content-type", b"text/plain; charset=utf-8")]
                await send({"type": "http.response.start", "status": 403, "headers": plain})
                await send({"type": "http.response.body", "body": _ANSWER + reason.encode() + b"\n"})
                return
        await self._app(scope, receive, send)


def refusal(
    headers: Mapping[str, str],
    path: str,
    names: Collection[str],
    *,
    is_websocket: bool = False,
    command: str = "visdiv ui",
) -> str:
    """Return why a request is refused; empty if it is not.

    Args:
        headers: of the request, with names in lower case.
        path: of the request.
        names: names of this server beside localhost and IP addresses.
        is_websocket: whether it opens a web socket.
        command: the command that starts the server.
    """
    host = headers.get("host", "")
    name = _name_of(f"//{host}")
    if not (_is_address(name) or name == "localhost" or name in names):
        return f"{name or 'its host'} is not a name of this server (`{command} --allow-host NAME` adds one)"
    origin = headers.get("origin")
    if origin is not None and origin.lower().rpartition("://")[2] != host.lower():
        return "it comes from a page of another server"
    if path.startswith("/reports/") and headers.get("sec-fetch-dest") == "script":
        # A report is in a sandbox, for which this server is another one; scripts of reports hold no data.
        return ""
    navigates = headers.get("sec-fetch-mode") == "navigate" and not path.endswith("/graphql") and not is_websocket
    if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and not navigates:
        return "it comes from a page of another server"
    return ""


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on a host name or address."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _name_of(address: str) -> str:
    """Return the host of an address without scheme and path; empty if it has another form."""
    try:
        parts = urlsplit(address)
        plain = "@" not in parts.netloc and (parts.port is None or parts.port > 0)
        return (parts.hostname or "") if plain else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Return whether a host is an IP address, which no page of another host can have as its name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
