"""The command `visdiv doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.command_group import INCOMPLETE
from visdiv_assets.cli.options import repeat_options, settings_options
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import VisdivError
from visdiv_assets.wording import several

if TYPE_CHECKING:
    from visdiv_assets.orchestration.doctor import Check, Finding
    from visdiv_assets.settings import Settings


EXAMPLES = """\
\b
Examples:
  visdiv doctor
  visdiv doctor --deep                 compare all checksums of the lake
  visdiv doctor --format json
"""


@click.command(epilog=EXAMPLES)
@click.option("--deep", is_flag=True, help="Read all files of the lake, and compare their checksums.")
@format_option
@settings_options
def doctor(read_settings: Callable[[], Settings], deep: bool, form: Form) -> None:
    """Check the installation, the source, the models and the data folder.

    Prints one line per check: ok, warning (runs succeed) or problem (runs fail), with what to do. Nothing is changed
    and no weights are downloaded. The exit code is 1 if there is a problem.
    """
    from visdiv_assets.orchestration.doctor import Level
    from visdiv_assets.publishing.row_formats import Rows

    found = []
    for finding in _findings(read_settings, deep):
        found.append((str(finding.level), finding.name, repeat_options(finding.text)))
        if form == "text":
            # Some checks take seconds: each line is printed when it is known.
            click.echo("{:<8} {:<12} {}".format(*found[-1]))
    if form != "text":
        echo_tables(form, Rows("checks", ("level", "check", "text"), found))
    levels = [level for level, _, _ in found]
    problems, warnings = levels.count(Level.PROBLEM), levels.count(Level.WARNING)
    echo_note(
        form,
        f"{several(len(found), 'check')}: {several(problems, 'problem')}, {several(warnings, 'warning')}",
    )
    click.get_current_context().exit(INCOMPLETE if problems else 0)


def _findings(read_settings: Callable[[], Settings], deep: bool) -> Iterator[Finding]:
    from visdiv_assets.orchestration.doctor import Finding, Level, examine
    from visdiv_assets.orchestration.doctor.installation import check_packages, check_python, check_settings

    yield from examine([("python", check_python), ("packages", check_packages)])
    try:
        settings = read_settings()
    except VisdivError as error:
        # All other checks depend on the settings.
        yield Finding("settings", Level.PROBLEM, str(error))
        return
    yield from examine([("settings", partial(check_settings, settings)), *_checks(settings, deep)])


def _checks(settings: Settings, deep: bool) -> Iterator[tuple[str, Check]]:
    from visdiv_assets.orchestration import state
    from visdiv_assets.orchestration.doctor import data, models, source
    from visdiv_assets.settings import dagster_home

    yield "source", partial(source.check_source, settings)
    yield "columns", partial(source.check_columns, settings)
    yield "left out", partial(source.check_left_out, settings)
    yield "device", partial(models.check_device, settings)
    yield "weights", partial(models.check_weights_file, settings)
    yield "model", partial(models.check_model, settings)
    yield "ocr", models.check_ocr
    yield "disk", partial(data.check_space, settings)
    yield "data folder", partial(data.check_folder, settings)
    yield "storage", partial(data.check_storage, settings)
    yield "lake", partial(data.check_lake, settings, deep=deep)
    yield "warehouse", partial(data.check_warehouse, settings)
    yield "decisions", partial(data.check_decisions, settings)
    yield "garbage", partial(data.check_garbage, settings)
    yield from state.checks(dagster_home(settings))
