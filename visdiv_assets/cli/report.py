"""The command `visdiv report`.

Belongs here: its arguments, and what is printed. Does not: what the pages say (`site`).
"""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.settings import load_settings


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option("--no-images", is_flag=True, help="Leave the images out, which are fetched from VISDIV_SOURCE.")
def report(opens: bool, no_images: bool) -> None:
    """Write a site of all findings, which opens from disk: contamination, overlap, diversity, thresholds, copies.

    The numbers are those of the published DuckDB file. It takes the place of the site of before, and links to the
    reports on single subsets and benchmarks.
    """
    settings = load_settings()
    from visdiv_assets.progress import progress
    from visdiv_assets.publishing.site.build import PAGES, build_site
    from visdiv_assets.publishing.site.report_data import Corpus, open_report_data
    from visdiv_assets.wiring import open_lake, open_source

    with (
        open_report_data(Path(settings.warehouse_path)) as warehouse,
        progress("report", len(PAGES), "page") as advance,
    ):
        path = build_site(
            Corpus(
                warehouse,
                open_lake(settings),
                None if no_images else open_source(settings),
                settings.reports_folder,
                contamination_threshold=settings.contamination_threshold,
                duplicate_threshold=settings.duplicate_threshold,
                limits=settings.decode_limits,
            ),
            advance,
        )
    click.echo(path.absolute())
    if opens:
        click.launch(path.absolute().as_uri())
