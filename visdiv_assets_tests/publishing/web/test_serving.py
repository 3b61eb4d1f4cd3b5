"""The server of `visdiv review`: where it listens, and that it stops."""

from __future__ import annotations

import signal
import socket
import threading
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from visdiv_assets.errors import ConfigError
from visdiv_assets.publishing.web.address import listen
from visdiv_assets.publishing.web.application import new_token
from visdiv_assets.publishing.web.serving import address_of, serve


def test_the_address_carries_the_token_where_browsers_keep_it() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening, "127.0.0.1", "t") == f"http://127.0.0.1:{port}/#token=t"
        assert listening.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1, port"):
            listen("127.0.0.1", taken.getsockname()[1])


def test_tokens_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_it_answers_until_ctrl_c() -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    answers: list[bytes] = []
    with listen("127.0.0.1", 0) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"

        def ask() -> None:
            with urllib.request.urlopen(address) as answer:
                answers.append(answer.read())
            signal.raise_signal(signal.SIGINT)

        asking = threading.Thread(target=ask)
        serve(app, listening, asking.start)
        asking.join()
    assert answers == [b"here"]
