"""The options `--source` and `--data`, which every command has."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import click

from visdiv_assets.errors import printable
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
    """Return a text for the terminal, with the given options in each `visdiv` command in backticks, to be copied."""
    options = given_options()
    text = printable(text)
    return _COMMAND.sub(lambda found: f"`{found[1]}{options}`", text) if options else text


#: Groups of files that are named.
_SHOWN = 10


def not_read(left_out: Sequence[str]) -> list[str]:
    """Return the lines that name what a source holds beside the rows that are read."""
    lines = [f"not read: {what}" for what in left_out[:_SHOWN]]
    more = len(left_out) - _SHOWN
    return [*lines, f"not read: {more} more groups of files"] if more > 0 else lines
