"""The command `visdiv init`."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.errors import ConfigError, without_secrets
from visdiv_assets.settings import CONFIG_FILE, PROFILES, Settings, config_file, with_profiles

EXAMPLES = """\
\b
Examples:
  visdiv init --source images --data findings
  visdiv init --profile gpus           with the settings for all GPUs of the machine
  visdiv init --force                  write the file anew, with the settings it has
  visdiv init other.toml               then use it with VISDIV_CONFIG=other.toml
"""

_HEAD = """\
# Settings of visdiv, written by `visdiv init`.
#
# A line without # sets a value; all others show the default. Environment variables override this file, and the options
# --source and --data override both. Relative paths are relative to the working directory of the command.
"""


@click.command("init", epilog=EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=CONFIG_FILE)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--profile",
    "profiles",
    type=click.Choice(list(PROFILES)),
    multiple=True,
    help="Set what belongs together. cpu, gpu and gpus: the device. local-cache: larger caches of what is read from "
    "the Hub and from object storage. finevision: the rule by which FineVision's authors find copies. blog-quality: "
    "the quality filter of the blog. May be given several times.",
)
@pass_settings
def init(settings: Settings, file: Path, force: bool, profiles: tuple[str, ...]) -> None:
    """Write all settings with their meaning to visdiv.toml.

    FILE has every setting with its meaning, unit, possible values and default. Settings that have another value now, by
    an option, a variable or the present file, are set; the others are comments. The file in use afterwards gives the
    same settings. Values with a password or a token are not written: keep those in environment variables.
    """
    from visdiv_assets.storage import uris
    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local

    if file.exists() and not force:
        raise ConfigError(f"{file} exists already: give --force to replace it, or the name of another file")
    text, written = settings_file(with_profiles(settings, profiles))
    try:
        with replace_local(file) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise write_error(str(file), error) from error
    set_now = f"set: {', '.join(written)}" if written else "all have their defaults"
    click.echo(f"{file}: {len(Settings.model_fields)} settings, {set_now}")
    if not uris.is_uri(settings.source) and not Path(settings.source).is_dir():
        click.echo(f"The source {settings.source} is not a folder: set another one, or create it before `visdiv run`.")
    in_use = config_file()
    if in_use is None or in_use.absolute() != file.absolute():
        click.echo(f"It is read if the variable VISDIV_CONFIG is {file.absolute()}.")
    else:
        click.echo("Next: `visdiv doctor` checks what they lead to.")


def settings_file(settings: Settings) -> tuple[str, list[str]]:
    """Return a commented file of settings, and the names of those that it sets."""
    import tomlkit

    from visdiv_assets.cli.setting_facts import setting_facts

    parts, written = [_HEAD], []
    for facts in setting_facts():
        value = getattr(settings, facts.name)
        default = tomlkit.item(facts.default).as_string()
        lines = textwrap.wrap(facts.meaning, 118, break_long_words=False, break_on_hyphens=False)
        unit = f" Unit: {facts.unit}." if facts.unit else ""
        lines.append(f"Value: {facts.values}.{unit} Default: {default}. Variable: {facts.variable}.")
        line = f"{facts.name} = {tomlkit.item(value).as_string()}"
        if value == facts.default:
            line = f"# {line}"
        elif isinstance(value, str) and without_secrets(value) != value:
            lines.append("The present value has a password or token, and is not written here.")
            line = f"# {facts.name} = {default}"
        else:
            written.append(facts.name)
        parts.append("".join(f"# {text}\n" for text in lines) + f"{line}\n")
    return "\n".join(parts), written
