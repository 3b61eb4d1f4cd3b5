"""Which requests the local servers answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from visdiv_assets.publishing.web.guard import Guard, is_loopback, refusal

HOST = "127.0.0.1:3000"


def headers(text: str) -> dict[str, str]:
    """Return headers from `name=value` pairs; Host is that of the server unless given."""
    return {"host": HOST} | dict(pair.split("=", 1) for pair in text.split())


@pytest.mark.parametrize(
    "given",
    [
        "",  # curl
        "host=localhost:3000",
        "host=[::1]:3000",
        "host=192.168.1.5:3000",
        "host=LOCALHOST",
        "host=ui.example.org",  # allowed by name
        "origin=http://127.0.0.1:3000 sec-fetch-site=same-origin sec-fetch-mode=cors",
        "host=ui.example.org origin=https://ui.example.org",
        "sec-fetch-site=none sec-fetch-mode=navigate",  # a typed address
    ],
)
@pytest.mark.parametrize("path", ["/", "/graphql"])
def test_requests_of_the_ui_and_of_programs_are_answered(given: str, path: str) -> None:
    assert refusal(headers(given), path, ["ui.example.org"]) == ""


def test_a_link_on_another_page_opens_the_ui() -> None:
    assert refusal(headers("sec-fetch-site=cross-site sec-fetch-mode=navigate"), "/assets", []) == ""


@pytest.mark.parametrize(
    "given",
    [
        "host=evil.example:3000",  # DNS rebinding
        "host=evil.example:3000 origin=http://evil.example:3000",
        "host=127.0.0.1.evil.example",
        "host=localhost.evil.example",
        "host=evil.example@127.0.0.1:x",
        "host=[::1",
        "host=",
        "origin=http://evil.example",
        "origin=http://127.0.0.1:8000",  # a page of another port of this machine
        "origin=http://localhost:3000",
        "origin=null",  # a file
        "origin=",
        "sec-fetch-site=cross-site sec-fetch-mode=no-cors",  # an image
        "sec-fetch-site=same-site sec-fetch-mode=cors",
        "sec-fetch-site=cross-site sec-fetch-mode=websocket",
        "sec-fetch-site=cross-site sec-fetch-mode=navigate",  # a link or a form
    ],
)
def test_requests_of_other_pages_are_refused(given: str) -> None:
    assert refusal(headers(given), "/graphql", ["ui.example.org"])


def test_a_refusal_names_the_command_that_adds_a_name() -> None:
    reason = refusal(headers("host=proxy.example"), "/", [], command="visdiv review")
    assert reason == "proxy.example is not a name of this server (`visdiv review --allow-host NAME` adds one)"


def test_a_report_in_its_sandbox_loads_its_script_and_nothing_else() -> None:
    script = headers("sec-fetch-site=cross-site sec-fetch-mode=no-cors sec-fetch-dest=script")
    assert refusal(script, "/reports/vega.js", []) == ""
    assert refusal(script, "/server_info", [])
    assert refusal(script | {"host": "evil.example"}, "/reports/vega.js", [])
    assert refusal(script | {"sec-fetch-dest": "image"}, "/reports/vega.js", [])


def test_a_request_without_a_host_is_refused() -> None:
    assert refusal({}, "/", ["ui.example.org"])


@pytest.mark.parametrize(("kind", "sent"), [("http", "http.response.start"), ("websocket", "websocket.close")])
@pytest.mark.parametrize("origin", ["http://evil.example", f"http://{HOST}"])
def test_a_refused_request_does_not_reach_the_app(kind: str, sent: str, origin: str) -> None:
    reached: list[str] = []
    messages: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    scope = {"type": kind, "path": "/graphql", "headers": [(b"Host", HOST.encode()), (b"Origin", origin.encode())]}
    asyncio.run(Guard(app)(scope, receive, send))
    if "evil" in origin:
        assert (reached, messages[0]["type"]) == ([], sent)
        assert messages[0].get("status", 403) == 403
    else:
        assert (reached, messages) == (["/graphql"], [])


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("ui.org", False)],
)
def test_an_address_of_other_machines_is_told_apart(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
