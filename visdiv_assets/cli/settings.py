"""The command `visdiv settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.errors import without_secrets
from visdiv_assets.settings import CONFIG_FILE, CONFIG_VARIABLE, config_file, dagster_home, variable

if TYPE_CHECKING:
    from visdiv_assets.settings import Settings


@click.command("settings")
@pass_settings
def settings(settings: Settings) -> None:
    """List every setting with its current value.

    Each setting is shown as its environment variable. You can also write settings to visdiv.toml in the working
    directory, in lower case and without VISDIV_, such as `similarity_floor = 0.8`. Environment variables override the
    file, and --source and --data override both.
    """
    for name, field in type(settings).model_fields.items():
        _print(variable(name), getattr(settings, name), str(field.description))
    file = config_file()
    _print(CONFIG_VARIABLE, str(file or ""), f"Settings file. Not set: {CONFIG_FILE}, if it exists.")
    _print("DAGSTER_HOME", str(dagster_home(settings)), "Folder for Dagster's own state, such as the run history.")


def _print(name: str, value: object, description: str) -> None:
    click.echo(without_secrets(f"{name} = {value!r}"))
    click.echo(click.wrap_text(description, 100, "    ", "    "))
