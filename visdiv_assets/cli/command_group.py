"""A group of commands that imports a command only when it is called, and prints errors for users as one line."""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from visdiv_assets.errors import NotMaterializedError, VisdivError
from visdiv_assets.progress import showing

PACKAGE = "visdiv_assets.cli"

#: Exit code of a command that SIGINT (Ctrl-C) or SIGTERM has stopped.
STOPPED = 130


class CommandGroup(click.Group):
    """A lazy group: its help needs no command's module.

    Args:
        summaries: the first sentence of each command's help, by command. The command `x` is the object `x` in the
            module `x` of this package.
        arguments: as for `click.Group`.
    """

    def __init__(self, *, summaries: Mapping[str, str], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._summaries:
            return None
        command: click.Command = getattr(importlib.import_module(f"{PACKAGE}.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that arguments begin with; suggest one if there is none of that name."""
        name = args[0]
        if name not in self._summaries and not name.startswith("-"):
            close = difflib.get_close_matches(name, self._summaries, n=1)
            ctx.fail(f"no command {name!r}{f': did you mean {close[0]}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, with its progress on stderr; print errors for users as one line there and exit with 2.

        SIGINT (Ctrl-C) and SIGTERM stop a command with one line and the exit code 130.
        """
        try:
            with _sigterm_as_sigint(), showing(sys.stderr) as write_line:
                try:
                    return super().invoke(ctx)
                except KeyboardInterrupt as interrupt:
                    # Here, since the step that was stopped has redirected stderr to its log.
                    write_line("visdiv: stopped; finished work is kept, and the same command continues")
                    _end_stopped(ctx, interrupt)
        except VisdivError as error:
            line = explain(error)
        except OSError as error:
            from visdiv_assets.storage.error_messages import is_of_object_storage, read_error

            if not is_of_object_storage(error):
                raise
            # While a table is streamed, its reader gets Arrow's own error.
            line = str(read_error("VISDIV_DATA", error))
        from visdiv_assets.cli.options import repeat_options

        click.echo(f"visdiv: {repeat_options(line)}", err=True)
        ctx.exit(2)


@contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_stopped(ctx: click.Context, interrupt: KeyboardInterrupt) -> NoReturn:
    from visdiv_assets.orchestration.interrupts import Stopped

    if isinstance(interrupt, Stopped):
        # The interpreter would wait for the threads that still work.
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(STOPPED)
    ctx.exit(STOPPED)


def explain(error: VisdivError) -> str:
    """Return the message of an error, with the command that makes what is missing."""
    if not isinstance(error, NotMaterializedError):
        return str(error)
    from visdiv_assets.corpus.tables import remedy

    return f"{error}: {remedy(error.table, error.partition)}"
