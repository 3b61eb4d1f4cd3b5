"""The command `visdiv review`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import pass_settings, server_options
from visdiv_assets.cli.page_server import serve_page
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings
from visdiv_assets.wording import several

if TYPE_CHECKING:
    from starlette.applications import Starlette

EXAMPLES = """\
\b
Examples:
  visdiv review
  visdiv review --no-open --port 0 --by kim     print the address, on a free port
"""


@click.command(epilog=EXAMPLES)
@server_options(3001, "Port of the web server; 0 takes a free one.")
@click.option("--by", metavar="NAME", help="Name to record as the author of the decisions. Default: your login name.")
@click.option("--no-open", is_flag=True, help="Print the address and open no browser.")
@pass_settings
def review(settings: Settings, port: int, host: str, names: tuple[str, ...], by: str | None, no_open: bool) -> None:
    """Mark pairs of images right, wrong or unsure in a browser.

    Shows the pairs that verification compared, undecided ones first, with both images at full size, the texts of their
    rows, and the evidence. Each decision is saved at once in the file that VISDIV_DECISIONS names; the next
    `visdiv run --all` obeys it.

    Only people who have the address that is printed last, with its token, can see the images and decide. Ctrl-C stops
    the server.
    """
    from visdiv_assets.corpus.access import present_partitions
    from visdiv_assets.corpus.image_lookup import ImageReader
    from visdiv_assets.duplicates.person_decisions import MAX_NAME
    from visdiv_assets.publishing.review.app import Review, build_app
    from visdiv_assets.publishing.review.marks import Marks
    from visdiv_assets.publishing.review.pair_images import PairImages
    from visdiv_assets.publishing.review.pair_index import PairIndex
    from visdiv_assets.storage import uris
    from visdiv_assets.wiring import open_lake, open_source

    if by and len(by) > MAX_NAME:
        raise ConfigError(f"the name given to --by has {len(by):,} characters: give one of at most {MAX_NAME:,}")
    source = open_source(settings)
    lake = present_partitions(open_lake(settings), source)
    with PairIndex(lake) as index:

        def build(token: str, allowed: tuple[str, ...]) -> Starlette:
            marks = Marks(Path(settings.decisions_path), index, by or _login())
            images = PairImages(source, settings.decode_limits)
            reader = ImageReader(lake, lambda: source, settings.decode_limits)
            click.echo(f"{several(index.pairs, 'pair')}; decisions are saved in {marks.path}", err=True)
            return build_app(Review(index, marks, images, reader, uris.display(source.uri)), token, allowed)

        serve_page(build, port, host, names, opens=not no_open)


def _login() -> str:
    """Return the name of the user whose process this is."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
