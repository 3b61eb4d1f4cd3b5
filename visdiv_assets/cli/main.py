"""The `visdiv` command, which groups all others."""

from __future__ import annotations

import click

from visdiv_assets.cli.command_group import CommandGroup
from visdiv_assets.cli.options import keep_for_command, source_and_data

#: The commands by what they are for, each defined by the module of its name, and the first sentence of its help.
SECTIONS = {
    "Set up": {
        "init": "Write all settings with their meaning to visdiv.toml.",
        "doctor": "Check the installation, the source, the models and the data folder.",
        "settings": "List every setting with its current value.",
        "benchmarks": "List benchmarks, and whether each is in the source and materialized.",
    },
    "Run": {
        "run": "Materialize subsets through Dagster, then publish the DuckDB file.",
        "status": "Show the results of each subset, and whether its files have changed.",
        "ui": "Open the Dagster UI.",
    },
    "Look at the findings": {
        "query": "Run SQL on the published DuckDB file, read-only.",
        "search": "Find the images that best match a text or an image.",
        "review": "Mark pairs of images right, wrong or unsure in a browser.",
        "show": "Show everything that is known of a row of a subset or benchmark.",
        "report": "Write an HTML site with all findings.",
    },
    "Make a training set": {
        "select": "Select rows by a published method, or compare methods.",
        "concepts": "Count how often concepts occur in the texts, and how much of each subset is about rare ones.",
        "balance": "Find weights of rows that balance attributes, and make them independent of other columns (M4).",
        "mixture": "Find the weights of the subsets that make the most diverse mixture.",
        "worklist": "List turns worth rewriting, and write requests for it in OpenAI's batch format.",
        "export": "Write a clean copy of all materialized subsets.",
    },
    "Maintain": {
        "gc": "List unreferenced files under VISDIV_DATA, and delete them with --delete.",
        "perf": "Measure speed and peak memory on this machine.",
    },
}

COMMANDS = {name: summary for commands in SECTIONS.values() for name, summary in commands.items()}

EPILOG = """
\b
Examples:
  visdiv init --source images --data findings
  visdiv run --all                    materialize all, then publish the DuckDB file
  visdiv run coco_colors "geoqa+(mathv360k)"
  visdiv status                       show what is materialized, what has changed
  visdiv run --changed                materialize changed subsets again
  visdiv query "SELECT * FROM subsets"
  visdiv ui                           open the Dagster UI

\b
Exit codes of all commands:
  0    success
  1    incomplete: some runs or checks failed, all others are done;
       with a traceback: a defect of visdiv
  2    refused: the message says what to fix first
  130  stopped by Ctrl-C or SIGTERM; finished work is kept
"""


@click.group(
    cls=CommandGroup,
    sections=SECTIONS,
    epilog=EPILOG,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)
@source_and_data
@click.version_option(package_name="visdiv-assets")
def main(source: str | None, data: str | None) -> None:
    """Audit the image data of vision-language training sets.

    visdiv reads the subsets of VISDIV_SOURCE, finds unreadable images, duplicates, benchmark contamination and
    diversity, and publishes the findings as a DuckDB file. It writes under VISDIV_DATA only. `visdiv settings` lists
    all settings. --source and --data may stand before or after the name of a command.
    """
    keep_for_command(source=source, data=data)


if __name__ == "__main__":
    main()
