"""Run Dagster's services as `dagster dev` does, with the guarded web server; run as `python -m`, by `visdiv ui`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from dagster._cli import dev, main

from visdiv_assets.orchestration.web import END

_MODULE = "dagster_webserver"


def guarded_command(command: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the command of a service with the guarded web server in place of Dagster's; others stay unchanged.

    Args:
        command: interpreter, `-m`, module and arguments.
        names: names of the server beside localhost and IP addresses.
    """
    interpreter, option, module, *arguments = command
    if module != _MODULE:
        return list(command)
    return [interpreter, option, "visdiv_assets.orchestration.web.server", *names, END, *arguments]


def run(arguments: list[str]) -> None:
    """Run the services: names of the server, `END`, arguments of `dagster`."""
    end = arguments.index(END)
    start = vars(dev)["open_ipc_subprocess"]

    def start_guarded(command: Sequence[str], **options: Any) -> Any:
        return start(guarded_command(command, arguments[:end]), **options)

    vars(dev)["open_ipc_subprocess"] = start_guarded
    # A shell starts commands in the background with SIGINT ignored, and Dagster treats SIGTERM like SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["dagster", *arguments[end + 1 :]]
    main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(sys.argv[1:])
