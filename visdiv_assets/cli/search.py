"""The command `visdiv search`: images of all materialized subsets, by a description or by an image.

Belongs here: its arguments, and what is printed and written. Does not: how questions become vectors
(`search.questions`), or how the best are found (`search.lookup`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from visdiv_assets.corpus.image_lookup import ImageRef
    from visdiv_assets.embedding.queries import By, Query
    from visdiv_assets.sources import Source
    from visdiv_assets.storage.lake import Lake
    from visdiv_assets.storage.manifest import Manifest
    from visdiv_assets.vectors.nearest import Found

#: Characters of a row's texts that the terminal shows.
TEXT_SHOWN = 60
#: Images on a contact sheet, which is to be looked at as a whole.
SHEET_IMAGES = 60
SHEET_BYTES = 2_000_000


@dataclass(frozen=True)
class Match:
    """An image that was found: at its first position, with its row's texts as its note, and its score."""

    image: ImageRef
    score: float


EXAMPLES = """\
\b
Examples:
  visdiv search "a red bird on a branch"
  visdiv search "a red bird" --query "-1:a drawing" --subset birds -k 50 --html found.html
  visdiv search --image copy.jpg               copies of an image, by SSCD
  visdiv search --image bird.jpg --by clip     images that mean the same
"""


@click.command(epilog=EXAMPLES)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--query", "queries", multiple=True, metavar="[WEIGHT:]TEXT", help="A text with a weight, as -1:photo.")
@click.option("--image", "images", multiple=True, metavar="[WEIGHT:]FILE", help="An image, perhaps with a weight.")
@click.option("--by", type=click.Choice(["clip", "sscd"]), help="By default clip if there is a text, else sscd.")
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Only in this one; may be repeated.")
@click.option("-k", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="Images to find.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page that opens from disk.")
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Also write a contact sheet, a JPEG.")
def search(
    texts: tuple[str, ...],
    queries: tuple[str, ...],
    images: tuple[str, ...],
    by: str | None,
    subsets: tuple[str, ...],
    count: int,
    html: Path | None,
    sheet: Path | None,
) -> None:
    """Find the images that fit a text or an image best, in all materialized subsets.

    Several questions are added up by their weights. The search is exact. An image that occurs several times is listed
    once in each subset, at its first position.
    """
    from visdiv_assets.embedding.queries import Query, parse_weighted

    settings = load_settings()
    questions = [Query(text=text) for text in texts if text.strip()]
    questions += [Query(weight, text) for weight, text in map(parse_weighted, queries)]
    questions += [_image_question(value) for value in images]
    if not questions:
        raise click.UsageError("give a text, a --query or an --image to look for")
    chosen = by or ("clip" if any(question.text for question in questions) else "sscd")
    matches = find_matches(settings, questions, cast("By", chosen), subsets, count)
    click.echo(_table(matches))
    title = " + ".join(question.label for question in questions)
    if html:
        from visdiv_assets.publishing.reports.gallery import GalleryEntry, write_gallery

        entries = [GalleryEntry(match.image, match.score) for match in matches]
        write_gallery(title, entries, html, limits=settings.decode_limits)
        click.echo(f"{html} shows them.")
    if sheet:
        _write_sheet(matches[:SHEET_IMAGES], sheet, settings)
        click.echo(f"{sheet} shows {'them' if len(matches) <= SHEET_IMAGES else f'the best {SHEET_IMAGES}'}.")


def find_matches(
    settings: Settings, questions: Sequence[Query], by: By, subsets: Sequence[str], count: int
) -> list[Match]:
    """The images that fit some questions best, best first.

    Raises:
        ConfigError: a subset has no vectors of the model, two were embedded by different models, or as
            `search.questions.embed_queries`.
    """
    from visdiv_assets.corpus.access import require_one_model
    from visdiv_assets.embedding.queries import embed_queries
    from visdiv_assets.progress import progress
    from visdiv_assets.vectors.nearest import combine_queries, find_nearest
    from visdiv_assets.wiring import open_lake, open_source, query_models

    lake, source = open_lake(settings), open_source(settings)
    embeddings = _embeddings(lake, source, by, subsets)
    vectors = embed_queries(questions, query_models(settings), by, str(require_one_model(embeddings)))
    question = combine_queries(vectors, [question.weight for question in questions])
    parts = [lake.array(manifest, "vectors") for manifest in embeddings]
    with progress("searching", sum(len(part) for part in parts), "image") as advance:
        found = find_nearest(parts, question, count, progress=advance)
    return _matches(lake, source, embeddings, found)


def _image_question(value: str) -> Query:
    from visdiv_assets.embedding.queries import Query, parse_weighted

    if Path(value).is_file():
        return Query(image=Path(value))
    weight, name = parse_weighted(value)
    if not Path(name).is_file():
        raise ConfigError(f"there is no file {name!r}: give an image to --image")
    return Query(weight, image=Path(name))


def _embeddings(lake: Lake, source: Source, by: By, subsets: Sequence[str]) -> list[Manifest]:
    """The embeddings of the subsets asked for, or of all that the source still holds."""
    from visdiv_assets.embedding.queries import TABLES

    table = TABLES[by]
    held = source.subsets()
    if unknown := [subset for subset in subsets if subset not in held]:
        raise ConfigError(f"{source.uri} has no subset {unknown[0]!r}: it has {', '.join(held)}")
    stored = lake.partitions(table)
    names = list(dict.fromkeys(subsets)) or [name for name in stored if name in held]
    missing = [name for name in names if name not in stored]
    if missing or not names:
        where = repr(missing[0]) if missing else "any subset"
        raise ConfigError(
            f"there is no {table} of {where}: run `visdiv run {missing[0] if missing else '--all'}`"
            f"{' with CLIP weights (VISDIV_CLIP_MODEL)' if by == 'clip' else ''} first"
        )
    return [lake.require(table, name) for name in sorted(names)]


def _matches(lake: Lake, source: Source, embeddings: Sequence[Manifest], found: Found) -> list[Match]:
    """What was found, with places, images and texts."""
    import pyarrow as pa

    from visdiv_assets.corpus.image_lookup import fetch_images, find_first_positions
    from visdiv_assets.sources import Kind
    from visdiv_assets.sources.texts import row_texts

    matches: dict[int, Match] = {}
    for number, manifest in enumerate(embeddings):
        chosen = [place for place, part in enumerate(found.part.tolist()) if part == number]
        if not chosen:
            continue
        ids = lake.read(manifest, "ids")["image_id"].take(pa.array(found.row[chosen])).to_pylist()
        places = find_first_positions(lake, manifest.partition, ids)
        if lost := [image_id for image_id in ids if image_id not in places]:
            raise ConfigError(
                f"{manifest.table} of {manifest.partition!r} knows image {lost[0]}, which subset_images does not "
                f"list: materialize {manifest.table} again"
            )
        images = fetch_images(source, Kind.SUBSET, list(places.values()))
        texts = row_texts(source, Kind.SUBSET, manifest.partition, (place.row for place in places.values()))
        for place, image_id in zip(chosen, ids, strict=True):
            where = places[image_id]
            image = replace(images[where], note=texts[where.row])
            matches[place] = Match(image, float(found.score[place]))
    return [matches[place] for place in sorted(matches)]


def _table(matches: Sequence[Match]) -> str:
    from tabulate import tabulate

    rows = [
        (
            match.image.place,
            match.image.row,
            match.image.image_index,
            f"{match.score:.3f}",
            _start(match.image.note),
        )
        for match in matches
    ]
    # Left alone, tabulate shows a subset named 1e3 as 1000.
    return tabulate(rows, ["subset", "row", "image", "score", "text"], tablefmt="simple", disable_numparse=[0, 4])


def _start(text: str) -> str:
    """The start of a text on one line, without what a terminal would act upon."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * TEXT_SHOWN]).split())
    return line if len(line) <= TEXT_SHOWN else line[: TEXT_SHOWN - 1] + "…"


def _write_sheet(matches: Sequence[Match], path: Path, settings: Settings) -> None:
    from visdiv_assets.imaging.contact_sheet import ImageTile, image_sheet
    from visdiv_assets.imaging.decode import decode_image
    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local

    tiles = []
    for match in matches:
        image = match.image
        decoded = decode_image(image.data, limits=settings.decode_limits)
        captions = [f"{image.place} {image.row}  {match.score:.3f}", _start(image.note)]
        tiles.append(ImageTile(decoded.pixels, captions))
    if not tiles:
        raise ConfigError("nothing was found, so there is no contact sheet to write")
    try:
        with replace_local(path) as stream:
            stream.write(image_sheet(tiles, max_bytes=SHEET_BYTES))
    except OSError as error:
        raise write_error(str(path), error) from error
