"""The command `visdiv ui`."""

from __future__ import annotations

import os
import sys

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.settings import Settings, dagster_home, exported_variables


@click.command()
@click.option("--port", default=3000, show_default=True, help="Port of the web server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the web server listens on.")
@pass_settings
def ui(settings: Settings, port: int, host: str) -> None:
    """Open the Dagster UI.

    The UI shows the assets, partitions, runs and backfills of VISDIV_DATA, including those of `visdiv run`. Runs that
    you launch in it use the settings of this command.
    """
    from visdiv_assets.orchestration import runs

    runs.Session(settings)
    os.environ.update(exported_variables(settings))
    # Dagster warns about a dagster.yaml in the working directory unless that is DAGSTER_HOME.
    os.chdir(dagster_home(settings))
    arguments = ["dev", "-m", "visdiv_assets.definitions", "-p", str(port), "-h", host]
    # Dagster recommends `dg dev`, which needs a project folder; an installed wheel has none.
    os.execv(sys.executable, [sys.executable, "-W", "ignore:Function `dev_command`", "-m", "dagster", *arguments])
