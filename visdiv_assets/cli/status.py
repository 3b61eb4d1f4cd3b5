"""The command `visdiv status`."""

from __future__ import annotations

from dataclasses import astuple, fields

import click

from visdiv_assets.cli.options import not_read, pass_settings, repeat_options
from visdiv_assets.cli.output import Form, echo_tables, format_option
from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv status
  visdiv status --format json
"""


@click.command(epilog=EXAMPLES)
@format_option
@pass_settings
def status(settings: Settings, form: Form) -> None:
    """Show the results of each subset, and whether its files have changed."""
    from visdiv_assets.duplicates.person_decisions import read_decisions
    from visdiv_assets.orchestration.status import SubsetState, newly_decided_across, subset_states
    from visdiv_assets.storage.uris import display
    from visdiv_assets.wiring import open_lake, open_source

    source = open_source(settings)
    lake, decisions = open_lake(settings), read_decisions(settings.decisions_path)
    states = subset_states(source, lake, decisions)
    if form != "text":
        from visdiv_assets.publishing.row_formats import Rows

        columns = tuple(field.name for field in fields(SubsetState))
        echo_tables(form, Rows("subsets", columns, [astuple(state) for state in states]))
        return
    click.echo(f"source  {display(settings.source)}")
    click.echo(f"data    {display(settings.data) if settings.is_remote else settings.data_folder}")
    for line in not_read(source.left_out()):
        click.echo(repeat_options(line))
    width = max([len(state.subset) for state in states], default=6)
    for state in states:
        click.echo(repeat_options(f"{state.subset:<{width}}  {state.summary}"))
    if newly_decided_across(lake, decisions):
        said = "people have decided on pairs across subsets since: `visdiv run --changed` obeys them"
        click.echo(repeat_options(said))
