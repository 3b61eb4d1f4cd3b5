"""The options `--source` and `--data`, which may stand before and after the name of every command."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from visdiv_assets.errors import printable

if TYPE_CHECKING:
    from visdiv_assets.settings import Settings
    from visdiv_assets.sources.left_out import SkippedFiles

#: What was given before the name of a command, and in all.
_BEFORE, _GIVEN = "visdiv_assets.options.before", "visdiv_assets.options"
_COMMAND = re.compile("`(visdiv [^`]*)`")


def source_and_data(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options `--source` and `--data` to a command or a group."""
    source = click.option("--source", metavar="URI", help="Read rows from this folder or dataset (VISDIV_SOURCE).")
    data = click.option("--data", metavar="FOLDER", help="Write all results to this folder (VISDIV_DATA).")
    return source(data(command))


def keep_for_command(**given: str | None) -> None:
    """Keep the options that were given before the name of a command for it; its own override them."""
    click.get_current_context().meta[_BEFORE] = given


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--source` and `--data` to a command and pass it `read_settings`, a function that loads the settings."""

    @source_and_data
    @functools.wraps(command)
    def with_options(*, source: str | None, data: str | None, **arguments: Any) -> None:
        meta = click.get_current_context().meta
        own = {"source": source, "data": data}
        given = {name: meta.get(_BEFORE, {}).get(name) if value is None else value for name, value in own.items()}
        meta[_GIVEN] = given
        command(read_settings=_reader(given), **arguments)

    return with_options


def _reader(given: dict[str, str | None]) -> Callable[[], Settings]:
    from visdiv_assets.settings import load_settings

    return functools.partial(load_settings, options=given)


def pass_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--source` and `--data` to a command and pass it the settings as `settings`."""

    @functools.wraps(command)
    def with_settings(*, read_settings: Callable[[], Settings], **arguments: Any) -> None:
        command(settings=read_settings(), **arguments)

    return settings_options(with_settings)


def server_options(port: int, port_help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options `--port`, `--host` and `--allow-host` to a command that starts a web server.

    The command gets them as `port`, `host` and `names`.

    Args:
        port: the default.
        port_help: the help of `--port`.
    """

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        options = (
            click.option("--port", type=click.IntRange(0, 65535), default=port, show_default=True, help=port_help),
            click.option(
                "--host", default="127.0.0.1", show_default=True, help="Address that the web server listens on."
            ),
            click.option(
                "--allow-host",
                "names",
                multiple=True,
                metavar="NAME",
                help="Hostname that browsers use to reach the server, such as that of a proxy (repeatable).",
            ),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


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


def not_read(left_out: Sequence[SkippedFiles]) -> list[str]:
    """Return the lines that count and name what a source holds beside the rows that are read."""
    from visdiv_assets.sources.left_out import count_by_kind

    if len(left_out) <= 1:
        return [f"not read: {group}" for group in left_out]
    lines = [f"not read: {count_by_kind(left_out)}", *(f"  {group}" for group in left_out[:_SHOWN])]
    more = len(left_out) - _SHOWN
    return [*lines, f'  and {more} more groups of files: `visdiv query "FROM skipped_files"`'] if more > 0 else lines
