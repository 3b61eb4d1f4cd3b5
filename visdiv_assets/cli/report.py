"""The command `visdiv report`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv report --open
  visdiv report --no-images
"""


@click.command(epilog=EXAMPLES)
@click.option("--open", "opens", is_flag=True, help="Open the site in the browser.")
@click.option("--no-images", is_flag=True, help="Omit images.")
@pass_settings
def report(settings: Settings, opens: bool, no_images: bool) -> None:
    """Write an HTML site with all findings.

    It shows contamination, overlap, diversity, thresholds and copies, with the numbers of the published DuckDB file,
    and links to the reports on single subsets and benchmarks. It opens from disk without a server, and replaces the
    previous site.
    """
    from visdiv_assets.corpus.image_lookup import ImageReader
    from visdiv_assets.progress import progress
    from visdiv_assets.publishing.site.build import PAGES, build_site
    from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
    from visdiv_assets.wiring import open_lake, open_source

    lake = open_lake(settings)
    with (
        open_report_data(Path(settings.warehouse_path)) as warehouse,
        progress("report", len(PAGES), "page") as advance,
    ):
        path = build_site(
            Corpus(
                warehouse,
                lake,
                None if no_images else ImageReader(lake, lambda: open_source(settings), settings.decode_limits),
                settings.reports_folder,
                contamination_threshold=settings.contamination_threshold,
                duplicate_threshold=settings.duplicate_threshold,
            ),
            advance,
        )
    click.echo(path.absolute())
    if opens:
        click.launch(path.absolute().as_uri())
