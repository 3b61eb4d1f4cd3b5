"""Check that the commands that messages advise exist."""

from __future__ import annotations

import re
import shlex

import click

from visdiv_assets.cli.main import main

_ADVISED = re.compile("`(visdiv [^`]*)`")


def advised_commands(text: str) -> list[list[str]]:
    """Return the arguments of each `visdiv` command that a text has in backticks, after parsing them as a shell does.

    Raises:
        AssertionError: a command does not exist.
        click.UsageError: a command does not take these arguments.
    """
    found = []
    for advised in _ADVISED.findall(text):
        _, name, *arguments = shlex.split(advised)
        with click.Context(main, **main.context_settings) as context:
            command = main.get_command(context, name)
            assert command is not None, f"there is no command {name!r}: {text}"
            command.make_context(name, list(arguments), parent=context)
        found.append([name, *arguments])
    return found
