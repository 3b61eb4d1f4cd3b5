"""A group of commands that imports a command only when it is called, and prints errors for users as one line."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from visdiv_assets.errors import IncompleteError, NotMaterializedError, VisdivError, did_you_mean
from visdiv_assets.progress import showing

PACKAGE = "visdiv_assets.cli"

#: Exit codes. A defect of the program, which ends with a traceback, also has 1, and click ends wrong arguments with 2.
INCOMPLETE, REFUSED, STOPPED = 1, 2, 130


class CommandGroup(click.Group):
    """A lazy group: its help needs no command's module.

    Args:
        sections: for each group of commands its title, and the first sentence of each command's help by command. The
            command `x` is the object `x` in the module `x` of this package.
        arguments: as for `click.Group`.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, str]], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sections = sections
        self._names = [name for commands in sections.values() for name in commands]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return self._names

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._names:
            return None
        command: click.Command = getattr(importlib.import_module(f"{PACKAGE}.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that arguments begin with; suggest one if there is none of that name."""
        name = args[0]
        if name not in self._names and not name.startswith("-"):
            hint = did_you_mean(name, self._names, show=str)
            ctx.fail(f"no command {name!r}{f': {hint}' if hint else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by group, each with its whole summary."""
        width = max(map(len, self._names))
        for title, commands in self._sections.items():
            with formatter.section(title):
                # All groups have the same two columns.
                formatter.write_dl([(name.ljust(width), summary) for name, summary in commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, with its progress on stderr; print errors for users as one line there.

        The exit code is then `REFUSED`, or `INCOMPLETE` if the rest of the work succeeded. SIGINT (Ctrl-C) and SIGTERM
        stop a command with one line and the exit code `STOPPED`.
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
            line, detail = explain(error), error.detail
            code = INCOMPLETE if isinstance(error, IncompleteError) else REFUSED
        except OSError as error:
            from visdiv_assets.storage.error_messages import is_of_object_storage, read_error

            if not is_of_object_storage(error):
                raise
            # While a table is streamed, its reader gets Arrow's own error.
            line, detail, code = str(read_error("VISDIV_DATA", error)), "", REFUSED
        from visdiv_assets.cli.options import repeat_options

        click.echo(f"visdiv: {repeat_options(line)}", err=True)
        if detail:
            click.echo(detail, err=True)
        ctx.exit(code)


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
