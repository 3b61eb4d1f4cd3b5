"""The command `visdiv settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, echo_tables, format_option, terminal_width
from visdiv_assets.errors import without_secrets
from visdiv_assets.settings import CONFIG_FILE, CONFIG_VARIABLE, config_file, dagster_home

if TYPE_CHECKING:
    from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv settings
  visdiv settings --format csv > settings.csv
  VISDIV_THREADS=4 visdiv settings
"""


@click.command("settings", epilog=EXAMPLES)
@format_option
@pass_settings
def settings(settings: Settings, form: Form) -> None:
    """List every setting with its current value.

    Each setting is shown as its environment variable. You can also write settings to visdiv.toml in the working
    directory, in lower case and without VISDIV_, such as `similarity_floor = 0.8`; `visdiv init` writes that file.
    Environment variables override the file, and --source and --data override both.
    """
    from visdiv_assets.cli.setting_facts import setting_facts

    if form != "text":
        _echo_rows(settings, form)
        return
    for facts in setting_facts():
        unit = f" Unit: {facts.unit}." if facts.unit else ""
        _print(facts.variable, getattr(settings, facts.name), facts.meaning + unit)
    file = config_file()
    _print(CONFIG_VARIABLE, str(file or ""), f"Settings file. Not set: {CONFIG_FILE}, if it exists.")
    _print("DAGSTER_HOME", str(dagster_home(settings)), "Folder for Dagster's own state, such as the run history.")


def _print(name: str, value: object, description: str) -> None:
    click.echo(without_secrets(f"{name} = {value!r}"))
    click.echo(click.wrap_text(description, min(terminal_width() or 100, 100), "    ", "    "))


def _echo_rows(settings: Settings, form: Form) -> None:
    from dataclasses import astuple

    from visdiv_assets.cli.setting_facts import setting_facts
    from visdiv_assets.publishing.row_formats import Rows

    rows = []
    for facts in setting_facts():
        value = getattr(settings, facts.name)
        shown = without_secrets(value) if isinstance(value, str) else value
        rows.append((facts.name, shown, *astuple(facts)[1:]))
    columns = ("name", "value", "variable", "default", "unit", "values", "meaning")
    echo_tables(form, Rows("settings", columns, rows))
