"""Write what is known of a row as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader, ImageRef
from visdiv_assets.errors import NotMaterializedError
from visdiv_assets.imaging import thumbnails
from visdiv_assets.imaging.thumbnails import Preview, Thumbnail
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, template, write_page
from visdiv_assets.publishing.reports import badges
from visdiv_assets.publishing.reports.model import Verdict
from visdiv_assets.publishing.row_view.collect import Record, RowView
from visdiv_assets.sources import Kind

_KINDS = {"subset": Kind.SUBSET, "benchmark": Kind.BENCHMARK}

#: Close images that are shown.
_IMAGES_SHOWN = 60

#: Characters of a question or an answer.
_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class _Card:
    """An image of the page, with what is said of it."""

    small: Thumbnail
    place: str
    position: str
    file: str
    badge: badges.Badge | None
    facts: list[tuple[str, str]]


def row_page(view: RowView, images: ImageReader) -> str:
    """Render a row as a page that needs no server, no network and no script.

    Args:
        view: the row.
        images: reads its thumbnails and those of close images.
    """
    others = "benchmark" if view.kind == "subset" else "subset"
    groups = [
        ("Images", "The images of the row.", _own(view)),
        ("Witness", "The image for which the row is dropped.", _witness(view)),
        ("Close images in subsets", f"{len(view.pairs):,} of {view.pairs_total:,} are listed.", _pairs(view)),
        (f"Close images in {others}s", f"{len(view.leaks):,} are listed.", _leaks(view)),
    ]
    found = _read(images, [entry for _, _, entries in groups for entry in entries])
    small = thumbnails.thumbnails(image.preview for image in found.values())
    styles = {
        "page": read_template("page.css"),
        "pairs": read_template("pairs.css"),
        "row": read_template("row.css"),
        "images": thumbnails.styles(small.values()),
    }
    return template("row.html").render(
        title=text_cells.clean(f"{view.name}, row {view.row}", 300),
        view=view,
        decision=describe_decision(view),
        where=[(name, text_cells.clean(str(value), 2000)) for name, value in _where(view)],
        groups=[
            (heading, about, [_card(entry, found, small) for entry in entries])
            for heading, about, entries in groups
            if entries
        ],
        turns=[
            (
                turn["turn"],
                text_cells.clean(turn["user"] or "", _TEXT),
                text_cells.clean(turn["assistant"] or "", _TEXT),
                describe_ratings(turn),
            )
            for turn in view.turns
        ],
        strings=[text_cells.clean(text, _TEXT) for text in view.strings],
        tables=[
            (heading, *_table(records))
            for heading, records in (
                ("Scores", [{"score": name, "value": value} for name, value in view.scores.items()]),
                ("Copies", view.copies),
                ("Texts of benchmarks", view.text_overlaps),
                ("Properties of the images", _properties(view)),
            )
            if records
        ],
        cell=text_cells.cell,
        styles=styles,
        policy=content_policy(styles.values()),
    )


def write_row_page(view: RowView, images: ImageReader, path: Path) -> int:
    """Write a `row_page` to a file in one atomic step and return its size in bytes.

    Raises:
        StorageError: the file cannot be written.
    """
    return write_page(row_page(view, images), path)


def describe_decision(view: RowView) -> str:
    """Return in a sentence whether a clean copy keeps the row, and the reason and the witness if it does not."""
    decision = view.decision
    if view.kind == "benchmark":
        return "A row of a benchmark: rows of subsets that contain it are dropped."
    if decision["kept"] is None:
        return "Not decided yet: run `visdiv run --all`."
    if decision["kept"]:
        return "Kept in a clean copy."
    said = f"Dropped: {decision['reason']}"
    if decision.get("detail"):
        said += f" ({decision['detail']})"
    if "witness" in decision:
        said += f"; witness: {decision['witness']}"
        if "witness_row" in decision:
            said += f", row {decision['witness_row']}, image {decision['witness_image_index']}"
        numbers = [f"{name} {decision[name]:.3f}" for name in ("similarity", "confidence") if name in decision]
        evidence = str(decision.get("evidence", "")).replace("_", " ")
        said += f" ({', '.join(filter(None, [evidence, *numbers]))})" if evidence or numbers else ""
    return f"{said}."


def describe_ratings(turn: Record) -> str:
    """Return the ratings of a turn: "relevance 5, formatting 4"; empty without ratings."""
    rated = {name.removesuffix("_ratings"): value for name, value in turn.items() if name.endswith("_ratings")}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rated.items() if value is not None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image to show: where it is, and the record that says something of it."""

    kind: Kind
    at: ImagePosition
    record: Record


def _own(view: RowView) -> list[_Entry]:
    kind = _KINDS[view.kind]
    return [
        _Entry(kind, ImagePosition(view.name, view.row, record["image_index"], record.get("image_id", "")), {})
        for record in view.images
    ]


def _witness(view: RowView) -> list[_Entry]:
    found = view.decision
    if "witness_row" not in found:
        return []
    for records, name, row, index, identity in (
        (view.pairs, "subset", "row", "other_image_index", "image_id"),
        (view.leaks, "benchmark", "benchmark_row", "benchmark_image_index", "benchmark_image_id"),
    ):
        for record in records:
            place = (record[name], record[row], record[index])
            if place == (found["witness"], found["witness_row"], found["witness_image_index"]):
                return [_Entry(_KINDS[found["witness_kind"]], ImagePosition(*place, record[identity]), record)]
    return []


def _pairs(view: RowView) -> list[_Entry]:
    return [
        _Entry(
            Kind.SUBSET, ImagePosition(pair["subset"], pair["row"], pair["other_image_index"], pair["image_id"]), pair
        )
        for pair in view.pairs[:_IMAGES_SHOWN]
    ]


def _leaks(view: RowView) -> list[_Entry]:
    if view.kind == "benchmark":
        names = ("subset", "row", "other_image_index", "image_id")
        kind = Kind.SUBSET
    else:
        names = ("benchmark", "benchmark_row", "benchmark_image_index", "benchmark_image_id")
        kind = Kind.BENCHMARK
    return [_Entry(kind, ImagePosition(*(leak[name] for name in names)), leak) for leak in view.leaks[:_IMAGES_SHOWN]]


def _read(images: ImageReader, entries: Sequence[_Entry]) -> dict[tuple[Kind, ImagePosition], ImageRef]:
    """Read images; one whose subset was removed since it was published is shown as no longer listed."""
    found: dict[tuple[Kind, ImagePosition], ImageRef] = {}
    for kind in Kind:
        wanted = [entry.at for entry in entries if entry.kind is kind]
        for name in sorted({at.name for at in wanted}):
            of_name = [at for at in wanted if at.name == name]
            try:
                read: Mapping[ImagePosition, ImageRef] = images.read(kind, of_name)
            except NotMaterializedError:
                read = {at: ImageRef(*at, Preview(None, "no longer listed")) for at in of_name}
            found |= {(kind, at): image for at, image in read.items()}
    return found


def _card(
    entry: _Entry, found: Mapping[tuple[Kind, ImagePosition], ImageRef], small: Mapping[Preview, Thumbnail]
) -> _Card:
    image, record = found[entry.kind, entry.at], entry.record
    badge = None
    if record.get("verdict"):
        confirmed = badges.VERIFIED[record["verdict"]]
        badge = badges.badge(Verdict(confirmed, record["evidence"] or "", record["reason"] or ""))
    facts = [(name, f"{record[name]:.3f}") for name in ("similarity", "confidence") if record.get(name) is not None]
    place, position = text_cells.clean(image.place, text_cells.SHOWN), text_cells.row_position(image)
    return _Card(small[image.preview], place, position, text_cells.file_name(image), badge, facts)


def _where(view: RowView) -> list[tuple[str, object]]:
    paths = [image["path"] for image in view.images if "path" in image]
    found = [(view.kind, view.name), ("row", view.row), ("file", view.file), ("row in the file", view.row_in_file)]
    return [(name, value) for name, value in [*found, ("path", ", ".join(paths) or None)] if value is not None]


def _properties(view: RowView) -> list[Record]:
    """Return a record per property, with a value per image."""
    names = dict.fromkeys(name for image in view.images for name in image if name != "image_index")
    return [
        {
            "property": name,
            **{f"image {image['image_index']}": _plain(image.get(name)) for image in view.images},
        }
        for name in names
    ]


def _table(records: Sequence[Record]) -> tuple[list[str], list[list[Any]]]:
    """Return headings and values of some records, without columns that have no value."""
    names = [name for name in records[0] if any(record.get(name) is not None for record in records)]
    return [name.replace("_", " ") for name in names], [
        [_plain(record.get(name)) for name in names] for record in records
    ]


def _plain(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
