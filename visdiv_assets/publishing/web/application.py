"""Build the web application of a page: files for everyone, data for those who know the token.

The page, its styles and its script hold no data and are sent to everyone who asks. All else is sent only to who knows
the token, which is new for each server: the page takes it from the part of its address after `#`, which browsers never
send, and sends it in a header, which no page of another server can add.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from visdiv_assets.errors import InputError, VisdivError
from visdiv_assets.publishing.html_files import read_template
from visdiv_assets.publishing.web.guard import Guard

logger = logging.getLogger(__name__)

TOKEN_HEADER = "x-visdiv-token"

_HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(32)


def page_app(
    files: Mapping[str, tuple[str, str]],
    routes: Sequence[BaseRoute],
    token: str,
    *,
    command: str,
    names: tuple[str, ...] = (),
) -> Starlette:
    """Return the application of a page.

    Args:
        files: by path, a file of the folder `template/` and its media type; they hold no data.
        routes: of the data.
        token: who knows it may use the routes.
        command: the command that starts the server.
        names: names of the server beside localhost and IP addresses, see `Guard`.
    """
    return Starlette(
        routes=[*(Route(path, _file(*file), methods=["GET"]) for path, file in files.items()), *routes],
        middleware=[
            Middleware(_Headers),
            Middleware(Guard, names=names, command=command),
            Middleware(_RequireToken, token=token, free=frozenset(files), command=command),
        ],
        exception_handlers={InputError: _refuse, VisdivError: _report, HTTPException: _explain},
    )


class _Headers:
    """Adds headers of security to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [pair for pair in message.get("headers", []) if pair[0].lower() not in _HEADERS]
                message = {**message, "headers": [*given, *_HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, with_headers)


class _RequireToken:
    """Answers requests for data only if they carry the token."""

    def __init__(self, app: ASGIApp, token: str, free: frozenset[str], command: str) -> None:
        self._app = app
        self._token = token.encode()
        self._free = free
        self._command = command

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._free:
            given = dict(scope["headers"]).get(TOKEN_HEADER.encode(), b"")
            if not secrets.compare_digest(given, self._token):
                refused = PlainTextResponse(f"open the address that `{self._command}` printed\n", 401)
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def read_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Args:
        request: the request.
        max_bytes: maximum size of the body.

    Raises:
        HTTPException: the body is too long or not JSON in UTF-8.
        InputError: it is not an object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_bytes:
            raise HTTPException(413, f"the body must have at most {max_bytes} bytes")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(given, dict):
        raise InputError("the body must be an object")
    return given


def json_answer(make: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that sends as JSON what a function returns, which runs in a thread."""

    async def answer(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(make, request))

    return answer


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(read_template(name), media_type=media_type)

    return answer


async def _refuse(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 400)


async def _report(request: Request, error: Exception) -> Response:
    logger.warning("%s", error)
    return PlainTextResponse(f"{error}\n", 500)


async def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code)
