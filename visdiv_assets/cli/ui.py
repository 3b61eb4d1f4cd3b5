"""The command `visdiv ui`."""

from __future__ import annotations

import os
import socket
import sys

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings, dagster_home, exported_variables


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the web server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the web server listens on.")
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Hostname that browsers use to reach the server, such as that of a proxy (repeatable).",
)
@pass_settings
def ui(settings: Settings, port: int, host: str, names: tuple[str, ...]) -> None:
    """Open the Dagster UI.

    The UI shows the assets, partitions, runs and backfills of VISDIV_DATA, including those of `visdiv run`, and serves
    the reports. Runs that you launch in it use the settings of this command. The last line that is printed is the
    address of a page that says where to start.

    The UI has no login: anyone who can reach the address of --host can launch runs. Requests that other websites
    trigger in a browser are refused.
    """
    from visdiv_assets.orchestration import runs
    from visdiv_assets.orchestration.run_origin import DEFINITIONS
    from visdiv_assets.orchestration.web import END
    from visdiv_assets.publishing.web.guard import is_loopback

    _check_port(host, port)
    runs.Session(settings)
    os.environ.update(exported_variables(settings))
    # Dagster warns about a dagster.yaml in the working directory unless that is DAGSTER_HOME.
    os.chdir(dagster_home(settings))
    if not is_loopback(host):
        click.echo(f"visdiv: the UI has no login: anyone who can reach {host}:{port} can launch runs", err=True)
    services = [_url(host, port), *(name.lower() for name in (*names, host)), END]
    # What sensors and schedules do is shown in the UI; in the shell it would hide the address.
    arguments = ["dev", "-m", DEFINITIONS, "-p", str(port), "-h", host, "--log-level", "warning"]
    # Dagster recommends `dg dev`, which needs a project folder; an installed wheel has none.
    python = [sys.executable, "-W", "ignore:Function `dev_command`"]
    os.execv(sys.executable, [*python, "-m", "visdiv_assets.orchestration.web.services", *services, *arguments])


def _check_port(host: str, port: int) -> None:
    """Raise a ConfigError if the server cannot listen on an address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host"
        ) from None


def _url(host: str, port: int) -> str:
    """Return the URL of the server for a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}"
