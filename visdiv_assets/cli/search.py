"""The command `visdiv search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.corpus.image_lookup import ImageReader, ImageRef
    from visdiv_assets.embedding.queries import By, Query
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.sources import Source
    from visdiv_assets.storage.lake import Lake
    from visdiv_assets.storage.manifest import Manifest
    from visdiv_assets.vectors.nearest import Found

#: Characters of a row's text that are printed.
TEXT_SHOWN = 60
#: Maximum images on a contact sheet, so that it can be viewed as a whole.
SHEET_IMAGES = 60
SHEET_BYTES = 2_000_000


@dataclass(frozen=True)
class Match:
    """A found image at its first position, with the text of its row as its note, and its score."""

    image: ImageRef
    score: float


EXAMPLES = """\
\b
Examples:
  visdiv search "a red bird on a branch"
  visdiv search "a red bird" --query "-1:a drawing" --subset birds -k 50 --html found.html
  visdiv search --image copy.jpg               find copies of an image, by SSCD
  visdiv search --image bird.jpg --by clip     find images with a similar meaning
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
    form: Form,
) -> None:
    """Find the images that best match a text or an image.

    All materialized subsets are searched, exactly. Several queries are combined as a weighted sum. An image that occurs
    more than once in a subset is listed at its first position.
    """
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
    """Return the images that best match the queries, best first.

    Raises:
        ConfigError: a subset is unknown or has no vectors of the model, or a query cannot be embedded; see
            `embed_queries`.
        ModelError: subsets were embedded by different models.
    """
    from visdiv_assets.corpus.access import require_one_model
    from visdiv_assets.corpus.image_lookup import ImageReader
    from visdiv_assets.embedding.queries import embed_queries
    from visdiv_assets.progress import progress
    from visdiv_assets.vectors.nearest import combine_queries, find_nearest
    from visdiv_assets.wiring import open_lake, open_source, query_models

    lake, source = open_lake(settings), open_source(settings)
    embeddings = _embeddings(lake, source, by, subsets)
    vectors = embed_queries(queries, query_models(settings), by, str(require_one_model(embeddings)))
    combined = combine_queries(vectors, [query.weight for query in queries])
    parts = [lake.array(manifest, "vectors") for manifest in embeddings]
    with progress("searching", sum(len(part) for part in parts), "image") as advance:
        found = find_nearest(parts, combined, count, progress=advance)
    return _matches(ImageReader(lake, lambda: source, settings.decode_limits), embeddings, found)


def _image_query(value: str) -> Query:
    from visdiv_assets.embedding.queries import Query, parse_weighted

    if Path(value).is_file():
        return Query(image=Path(value))
    weight, name = parse_weighted(value)
    if not Path(name).is_file():
        raise ConfigError(f"there is no file {name!r}: give an image file to --image")
    return Query(weight, image=Path(name))


def _embeddings(lake: Lake, source: Source, by: By, subsets: Sequence[str]) -> list[Manifest]:
    """Return the embeddings of the given subsets, or of all subsets that are still in the source."""
    from visdiv_assets.corpus.tables import remedy
    from visdiv_assets.embedding.queries import TABLES
    from visdiv_assets.sources import Kind
    from visdiv_assets.sources.files import no_such

    table = TABLES[by]
    held = source.subsets()
    if unknown := [subset for subset in subsets if subset not in held]:
        raise no_such(source.uri, Kind.SUBSET, unknown[0], held)
    stored = lake.partitions(table)
    names = list(dict.fromkeys(subsets)) or [name for name in stored if name in held]
    missing = [name for name in names if name not in stored]
    if missing or not names:
        what = f"{table} of {missing[0]!r}" if missing else f"{table} of any subset"
        all_subsets = "run `visdiv run --all`" + (" with CLIP weights in VISDIV_CLIP_MODEL" if by == "clip" else "")
        raise ConfigError(f"there is no {what}: {remedy(table, missing[0]) if missing else all_subsets}")
    return [lake.require(table, name) for name in sorted(names)]


def _matches(reader: ImageReader, embeddings: Sequence[Manifest], found: Found) -> list[Match]:
    """Return the found images with their positions and texts."""
    import pyarrow as pa

    from visdiv_assets.corpus.image_lookup import find_first_positions
    from visdiv_assets.corpus.tables import remedy
    from visdiv_assets.corpus.turns import row_texts
    from visdiv_assets.sources import Kind

    matches: dict[int, Match] = {}
    for part, manifest in enumerate(embeddings):
        ranks = [rank for rank, found_in in enumerate(found.part.tolist()) if found_in == part]
        if not ranks:
            continue
        ids = reader.lake.read(manifest, "ids")["image_id"].take(pa.array(found.row[ranks])).to_pylist()
        positions = find_first_positions(reader.lake, manifest.partition, ids)
        if lost := [image_id for image_id in ids if image_id not in positions]:
            raise ConfigError(
                f"{manifest.table} of {manifest.partition!r} contains image {lost[0]}, which its images do not list: "
                f"{remedy(manifest.table, manifest.partition)}"
            )
        images = reader.read(Kind.SUBSET, positions.values())
        texts = row_texts(reader.lake, manifest.partition, (at.row for at in positions.values()))
        for rank, image_id in zip(ranks, ids, strict=True):
            position = positions[image_id]
            image = replace(images[position], note=texts[position.row])
            matches[rank] = Match(image, float(found.score[rank]))
    return [matches[rank] for rank in sorted(matches)]


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
