"""Serve a page to people who have its address, for the commands that have one."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: Makes an application from its token and the names of the server.
Build = Callable[[str, tuple[str, ...]], "Starlette"]


def serve_page(build: Build, port: int, host: str, names: tuple[str, ...], *, opens: bool) -> None:
    """Answer requests until Ctrl-C, and print the address with the token as soon as it can be opened.

    Args:
        build: makes the application, once the port is known to be free.
        port: to listen on; 0 takes a free one.
        host: address to listen on.
        names: further names of the server.
        opens: whether to open the address in a browser.

    Raises:
        ConfigError: the server cannot listen there.
    """
    from visdiv_assets.publishing.web.address import listen
    from visdiv_assets.publishing.web.application import new_token
    from visdiv_assets.publishing.web.guard import is_loopback
    from visdiv_assets.publishing.web.serving import address_of, serve

    with listen(host, port) as listening:
        token = new_token()
        app = build(token, tuple(name.lower() for name in (*names, host)))
        if not is_loopback(host):
            click.echo(f"visdiv: the token is sent without encryption to everyone between you and {host}", err=True)
        click.echo("Ctrl-C stops the server", err=True)
        address = address_of(listening, host, token)

        def ready() -> None:
            click.echo(address)
            if opens:
                webbrowser.open(address)

        serve(app, listening, ready)
