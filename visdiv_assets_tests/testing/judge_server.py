"""An OpenAI-compatible endpoint on the loopback address, whose replies a test decides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Given:
    """What the server answers: a status, the content of the message or a whole body, and headers."""

    content: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


def rated(rating: int, *, images: bool = False, addressed: int = 0) -> Given:
    """Return a reply of the form that is asked for."""
    return Given(json.dumps({"rating": rating, **({"addressed": addressed} if images else {})}))


def has_images(request: dict[str, Any]) -> bool:
    """Return whether a request shows an image."""
    return any(part["type"] == "image_url" for part in request["messages"][1]["content"])


def prompt_of(request: dict[str, Any]) -> str:
    """Return the text of the user's message."""
    return str(request["messages"][1]["content"][0]["text"])


def criterion_of(request: dict[str, Any]) -> str:
    """Return what a request asks to rate."""
    return prompt_of(request).splitlines()[0].removeprefix("Criterion: ").partition(".")[0].replace(" ", "_")


class JudgeServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        reply: returns the answer to a request.
        requests: bodies of all requests.
        keys: the `Authorization` headers of all requests.
        seconds: time that each request takes.
        most: the largest number of requests at a time so far.
    """

    daemon_threads = True

    def __init__(self, reply: Callable[[dict[str, Any]], Given]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply = reply
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.seconds = 0.0
        self.most = self.now = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The base of the API."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: JudgeServer

    def do_POST(self) -> None:
        server = self.server
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.requests.append(request)
            server.keys.append(self.headers["Authorization"])
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(server.seconds)
        given = server.reply(request)
        with server.lock:
            server.now -= 1
        message = {"choices": [{"message": {"role": "assistant", "content": given.content}}]}
        body = given.body or json.dumps({**message, "usage": {"prompt_tokens": 100, "completion_tokens": 10}}).encode()
        self.send_response(given.status)
        for name, value in {**given.headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextmanager
def judge_server(reply: Callable[[dict[str, Any]], Given] | None = None) -> Iterator[JudgeServer]:
    """Run a server; by default it rates everything 4."""
    server = JudgeServer(reply or (lambda request: rated(4, images=has_images(request))))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
