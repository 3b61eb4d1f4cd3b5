"""Run Dagster's services as `dagster dev` does, with the guarded web server; run as `python -m`, by `visdiv ui`.

The address of the UI is printed once everything has started, so that it is the last line.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from dagster._cli import dev, main

from visdiv_assets.orchestration.web import END, START

_MODULE = "dagster_webserver"

#: Seconds after which the UI is announced even if a daemon has not said that it runs.
STARTING_SECONDS = 120


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


def announce(url: str) -> None:
    """Wait until the server at a URL answers and all daemons run, then print where to start.

    From `STARTING_SECONDS` on, daemons are not waited for.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    while (healthy := _daemons_run(url)) is None or not (healthy or time.monotonic() > deadline):
        time.sleep(1)
    sys.stdout.write(f"The Dagster UI: {url}\nThe reports, and where to start: {url}{START}\n")
    sys.stdout.flush()


def _daemons_run(url: str) -> bool | None:
    """Return whether the code is loaded and every daemon has said that it runs; None if the server does not answer."""
    query = "{workspaceOrError{__typename} instance{daemonHealth{allDaemonStatuses{required healthy}}}}"
    request = urllib.request.Request(
        f"{url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            statuses = json.load(answer)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return all(status["healthy"] for status in statuses if status["required"])


def run(arguments: list[str]) -> None:
    """Run the services: the URL of the UI, names of the server, `END`, arguments of `dagster`."""
    url, *arguments = arguments
    end = arguments.index(END)
    start = vars(dev)["open_ipc_subprocess"]

    def start_guarded(command: Sequence[str], **options: Any) -> Any:
        return start(guarded_command(command, arguments[:end]), **options)

    vars(dev)["open_ipc_subprocess"] = start_guarded
    threading.Thread(target=announce, args=[url], daemon=True).start()
    # A shell starts commands in the background with SIGINT ignored, and Dagster treats SIGTERM like SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["dagster", *arguments[end + 1 :]]
    main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(sys.argv[1:])
