"""The command `visdiv ui`."""

from __future__ import annotations

import os
import sys

import click

from visdiv_assets.cli.options import pass_settings, server_options
from visdiv_assets.settings import Settings, dagster_home, exported_variables


@click.command()
@server_options(3000, "Port of the web server.")
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
    from visdiv_assets.publishing.web.address import listen, url_of
    from visdiv_assets.publishing.web.guard import is_loopback

    # Refused here, in one line, rather than by the server.
    listen(host, port).close()
    runs.Session(settings)
    os.environ.update(exported_variables(settings))
    # Dagster warns about a dagster.yaml in the working directory unless that is DAGSTER_HOME.
    os.chdir(dagster_home(settings))
    if not is_loopback(host):
        click.echo(f"visdiv: the UI has no login: anyone who can reach {host}:{port} can launch runs", err=True)
    services = [url_of(host, port), *(name.lower() for name in (*names, host)), END]
    # What sensors and schedules do is shown in the UI; in the shell it would hide the address.
    arguments = ["dev", "-m", DEFINITIONS, "-p", str(port), "-h", host, "--log-level", "warning"]
    # Dagster recommends `dg dev`, which needs a project folder; an installed wheel has none.
    python = [sys.executable, "-W", "ignore:Function `dev_command`"]
    os.execv(sys.executable, [*python, "-m", "visdiv_assets.orchestration.web.services", *services, *arguments])
