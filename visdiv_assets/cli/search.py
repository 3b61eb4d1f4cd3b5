"""The command `visdiv search`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from visdiv_assets.cli.options import pass_settings, server_options
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.cli.page_server import serve_page
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.embedding.queries import By, Query
    from visdiv_assets.progress import Progress
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.publishing.search.finding import Finder, Match

#: Characters of a row's text that are printed.
TEXT_SHOWN = 60
#: Maximum images on a contact sheet, so that it can be viewed as a whole.
SHEET_IMAGES = 60
SHEET_BYTES = 2_000_000


EXAMPLES = """\
\b
Examples:
  visdiv search "a red bird on a branch"
  visdiv search "a red bird" --query "-1:a drawing" --subset birds -k 50 --html found.html
  visdiv search --image copy.jpg               find copies of an image, by SSCD
  visdiv search --image bird.jpg --by clip     find images with a similar meaning
  visdiv search --serve                        search on a page in the browser
"""


@click.command(epilog=EXAMPLES)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "--query",
    "queries",
    multiple=True,
    metavar="[WEIGHT:]TEXT",
    help="Text with a weight, such as -1:photo (repeatable).",
)
@click.option(
    "--image", "images", multiple=True, metavar="[WEIGHT:]FILE", help="Image file with an optional weight (repeatable)."
)
@click.option(
    "--by",
    type=click.Choice(["clip", "sscd"]),
    help="Model to compare by; default: clip if there is a text, else sscd.",
)
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Search in this subset only (repeatable).")
@click.option(
    "-k", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of images to find."
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="HTML page to write as well.")
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Contact sheet (JPEG) to write as well.")
@click.option("--serve", is_flag=True, help="Search on a page in the browser, served until Ctrl-C.")
@server_options(3002, "Port of the web server of --serve; 0 takes a free one.")
@click.option("--no-open", is_flag=True, help="With --serve, print the address and open no browser.")
@format_option
@pass_settings
def search(
    settings: Settings,
    texts: tuple[str, ...],
    queries: tuple[str, ...],
    images: tuple[str, ...],
    by: str | None,
    subsets: tuple[str, ...],
    count: int,
    html: Path | None,
    sheet: Path | None,
    serve: bool,
    port: int,
    host: str,
    names: tuple[str, ...],
    no_open: bool,
    form: Form,
) -> None:
    """Find the images that best match a text or an image.

    All materialized subsets are searched, exactly. Several queries are combined as a weighted sum. An image that occurs
    more than once in a subset is listed at its first position.

    With --serve, a page takes words and images with weights, conditions on columns of the DuckDB file, and found images
    as further queries: more like these, not like those. Only people who have the address that is printed last, with its
    token, can search. Without CLIP weights it searches by images only.
    """
    if serve:
        if texts or queries or images or by or subsets or html or sheet:
            raise click.UsageError("--serve takes its queries on the page: give it without them")
        _serve(settings, port, host, names, opens=not no_open)
        return
    from visdiv_assets.embedding.queries import Query, parse_weighted

    asked = [Query(text=text) for text in texts if text.strip()]
    asked += [Query(weight, text) for weight, text in map(parse_weighted, queries)]
    asked += [_image_query(value) for value in images]
    if not asked:
        raise click.UsageError("give a text, a --query or an --image to search for")
    model = by or ("clip" if any(query.text for query in asked) else "sscd")
    matches = find_matches(settings, asked, cast("By", model), subsets, count)
    echo_tables(form, _rows(matches, cut=form == "text"))
    title = " + ".join(query.label for query in asked)
    if html:
        from visdiv_assets.publishing.reports.gallery import GalleryEntry, write_gallery

        entries = [GalleryEntry(match.image, match.score) for match in matches]
        write_gallery(title, entries, html)
        echo_note(form, f"They are shown in {html}.")
    if sheet:
        _write_sheet(matches[:SHEET_IMAGES], sheet)
        which = "They" if len(matches) <= SHEET_IMAGES else f"The best {SHEET_IMAGES}"
        echo_note(form, f"{which} are shown in {sheet}.")


def find_matches(
    settings: Settings, queries: Sequence[Query], by: By, subsets: Sequence[str], count: int
) -> list[Match]:
    """Return the images that best match the queries, best first; see `Finder.find`."""
    from visdiv_assets.progress import progress

    with ExitStack() as shown:

        def show(total: int) -> Progress:
            return shown.enter_context(progress("searching", total, "image"))

        return open_finder(settings).find(queries, by, subsets, count, progress=show)


def open_finder(settings: Settings) -> Finder:
    """Return what searches the lake of the settings."""
    from visdiv_assets.corpus.image_lookup import ImageReader
    from visdiv_assets.publishing.search.finding import Finder
    from visdiv_assets.wiring import open_lake, open_source, query_models

    lake, source = open_lake(settings), open_source(settings)
    return Finder(ImageReader(lake, lambda: source, settings.decode_limits), source, query_models(settings))


def _serve(settings: Settings, port: int, host: str, names: tuple[str, ...], *, opens: bool) -> None:
    """Answer searches on a page until Ctrl-C."""
    from visdiv_assets.publishing.search.app import Search, build_app
    from visdiv_assets.storage import uris

    finder = open_finder(settings)
    # A model is loaded once for all searches.
    models = replace(finder.models, load_sscd=cache(finder.models.load_sscd), load_clip=cache(finder.models.load_clip))
    finder = replace(finder, models=models)
    title = uris.display(finder.source.uri)
    search = Search(finder, Path(settings.warehouse_path), title, lambda: why_no_words(settings, finder))
    serve_page(partial(build_app, search), port, host, names, opens=opens)


def why_no_words(settings: Settings, finder: Finder) -> str:
    """Return why words cannot be searched for, and what to do; empty if they can."""
    from visdiv_assets.embedding.clip.checkpoints import NoClipWeightsError, find_checkpoint
    from visdiv_assets.embedding.queries import TABLES
    from visdiv_assets.errors import ModelError

    try:
        find_checkpoint(settings.clip_model)
    except NoClipWeightsError as error:
        return f"Words cannot be searched for, since {error}. Images can."
    except ModelError as error:
        return str(error)
    if not finder.reader.lake.partitions(TABLES["clip"]):
        return (
            "Words cannot be searched for, since no subset has CLIP vectors: `visdiv run --all` makes them. Images can."
        )
    return ""


def _image_query(value: str) -> Query:
    from visdiv_assets.embedding.queries import Query, parse_weighted

    if Path(value).is_file():
        return Query(image=Path(value))
    weight, name = parse_weighted(value)
    if not Path(name).is_file():
        raise ConfigError(f"there is no file {name!r}: give an image file to --image")
    return Query(weight, image=Path(name))


def _rows(matches: Sequence[Match], *, cut: bool) -> Rows:
    from visdiv_assets.publishing.row_formats import Rows

    rows = [
        (
            match.image.place,
            match.image.row,
            match.image.image_index,
            match.score,
            match.image.file,
            match.image.row_in_file,
            match.image.path,
            _excerpt(match.image.note) if cut else match.image.note,
        )
        for match in matches
    ]
    columns = ["subset", "row", "image", "score", "file", "row_in_file", "path", "text"]
    return Rows("found", columns, rows, floats=".3f")


def _excerpt(text: str) -> str:
    """Return the start of a text on one line, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * TEXT_SHOWN]).split())
    return line if len(line) <= TEXT_SHOWN else line[: TEXT_SHOWN - 1] + "…"


def _write_sheet(matches: Sequence[Match], path: Path) -> None:
    from visdiv_assets.imaging.contact_sheet import ImageTile, image_sheet
    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local

    tiles = []
    for match in matches:
        image = match.image
        captions = [f"{image.place} {image.row}  {match.score:.3f}", _excerpt(image.note)]
        tiles.append(ImageTile(image.preview.image, captions))
    if not tiles:
        raise ConfigError("no image was found, so no contact sheet was written")
    try:
        with replace_local(path) as stream:
            stream.write(image_sheet(tiles, max_bytes=SHEET_BYTES))
    except OSError as error:
        raise write_error(str(path), error) from error
