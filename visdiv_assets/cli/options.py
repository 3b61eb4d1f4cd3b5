"""The options `--source` and `--data`, which every command has."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable
from typing import Any

import click

from visdiv_assets.settings import Settings, load_settings

_GIVEN = "visdiv_assets.options"
_COMMAND = re.compile("`(visdiv [^`]*)`")


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--source` and `--data` to a command and pass it `read_settings`, a function that loads the settings."""

    @click.option("--source", metavar="URI", help="Read rows from this folder or dataset; overrides VISDIV_SOURCE.")
    @click.option("--data", metavar="FOLDER", help="Write all results to this folder; overrides VISDIV_DATA.")
    @functools.wraps(command)
    def with_options(*, source: str | None, data: str | None, **arguments: Any) -> None:
        given = {"source": source, "data": data}
        click.get_current_context().meta[_GIVEN] = given
        command(read_settings=functools.partial(load_settings, options=given), **arguments)

    return with_options


def pass_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--source` and `--data` to a command and pass it the settings as `settings`."""

    @functools.wraps(command)
    def with_settings(*, read_settings: Callable[[], Settings], **arguments: Any) -> None:
        command(settings=read_settings(), **arguments)

    return settings_options(with_settings)


def given_options() -> str:
    """Return `--source` and `--data` as they were given to the running command, each after a space."""
    context = click.get_current_context(silent=True)
    given = context.meta.get(_GIVEN, {}) if context else {}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items() if value is not None)


def repeat_options(text: str) -> str:
    """Add the given options to each `visdiv` command in backticks, so that it works when it is copied."""
    options = given_options()
    return _COMMAND.sub(lambda found: f"`{found[1]}{options}`", text) if options else text
