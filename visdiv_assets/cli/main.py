"""The `visdiv` command, which groups all others."""

from __future__ import annotations

import click

from visdiv_assets.cli.command_group import CommandGroup

#: The commands, each defined by the module of its name, and the first sentence of its help.
COMMANDS = {
    "run": "Materialize subsets through Dagster, then publish the DuckDB file.",
    "status": "Show the results of each subset, and whether its files have changed.",
    "query": "Run SQL on the published DuckDB file, read-only.",
    "search": "Find the images that best match a text or an image.",
    "report": "Write an HTML site with all findings.",
    "select": "Select rows by a published method, or compare methods.",
    "mixture": "Find the weights of the subsets that make the most diverse mixture.",
    "export": "Write a clean copy of all materialized subsets.",
    "ui": "Open the Dagster UI.",
    "benchmarks": "List benchmarks, and whether each is in the source and materialized.",
    "settings": "List every setting with its current value.",
    "doctor": "Check the installation, the source, the models and the data folder.",
    "gc": "List unreferenced files under VISDIV_DATA, and delete them with --delete.",
    "perf": "Measure speed and peak memory on this machine.",
}

EXAMPLES = """
\b
Examples:
  visdiv run --all                      materialize every subset, then publish the DuckDB file
  visdiv run coco_colors "geoqa+(mathv360k)"
  visdiv status                         show what is materialized and what has changed
  visdiv run --changed                  materialize changed subsets again
  visdiv query "SELECT * FROM subsets"
  visdiv ui                             open the Dagster UI
"""


@click.group(
    cls=CommandGroup,
    summaries=COMMANDS,
    epilog=EXAMPLES,
    context_settings={"max_content_width": 110, "help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="visdiv-assets")
def main() -> None:
    """Audit the image data of vision-language training sets.

    visdiv reads the subsets of VISDIV_SOURCE, finds unreadable images, duplicates, benchmark contamination and
    diversity, and publishes the findings as a DuckDB file. It writes under VISDIV_DATA only. `visdiv settings` lists
    all settings.
    """


if __name__ == "__main__":
    main()
