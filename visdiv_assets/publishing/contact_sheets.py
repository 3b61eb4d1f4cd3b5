"""Contact sheets of findings: stored thumbnails, drawn side by side with a line of text, as data URIs.

Belongs here: which images a sheet shows, and the text under each. Does not: drawing (`imaging.contact_sheet`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader, find_first_positions
from visdiv_assets.corpus.turns import row_texts
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.imaging.contact_sheet import ImageTile, PairTile, image_sheet, pair_sheet, thumbnail_data_uri
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Size of a sheet. As base64 text it is a third larger, and must stay under 100 kB.
SHEET_BYTES = 72_000
#: Rows with the best, and with the worst, alignment that are shown.
ROWS_SHOWN = 12
#: Characters of a row's texts under its image; the tile shortens what does not fit.
TEXT_SHOWN = 80


def pairs_contact_sheet(
    images: ImageReader, subset: str, pairs: pa.Table, caption: Callable[[dict[str, Any]], str]
) -> str | None:
    """Draw pairs of images of a subset side by side, and return the sheet as a data URI; None if there is no pair.

    Args:
        images: reads the images.
        subset: its name.
        pairs: image_id_a, image_id_b, and what the caption needs.
        caption: makes the text that follows the two row numbers, from a record of `pairs`.
    """
    records = pairs.to_pylist()
    positions = find_first_positions(images.lake, subset, (record[side] for record in records for side in SIDES))
    sides = [sorted(positions[record[side]] for side in SIDES) for record in records]
    captions = [
        f"row {first.row} | row {second.row}   {caption(record)}"
        for record, (first, second) in zip(records, sides, strict=True)
    ]
    return _draw_pairs(images, [pair[0] for pair in sides], [pair[1] for pair in sides], captions)


def confirmed_contact_sheet(images: ImageReader, subsets: Sequence[str], pairs: pa.Table) -> str | None:
    """Draw confirmed pairs side by side with their evidence, and return the sheet as a data URI; None without pairs.

    Args:
        images: reads the images.
        subsets: names of the subsets that hold the images.
        pairs: the columns `candidates.SIDES`, or image_id and the position in a benchmark (see
            `contamination.positions`), and evidence and confidence.
    """
    leaks = "benchmark" in pairs.column_names
    sides = ("image_id",) if leaks else SIDES
    records = pairs.to_pylist()
    positions = _positions_in(images.lake, subsets, {record[side] for record in records for side in sides})
    # Verdicts may be about images that have been removed since.
    records = [record for record in records if all(record[side] in positions for side in sides)]
    listed = [sorted(positions[record[side]] for side in sides) for record in records]
    if leaks:
        names = ("benchmark", "benchmark_row", "benchmark_image", "benchmark_image_id")
        for record, shown in zip(records, listed, strict=True):
            shown.append(ImagePosition(*(record[name] for name in names)))
    left, right = [shown[0] for shown in listed], [shown[1] for shown in listed]
    captions = [
        f"{one.name} {one.row} | {other.name} {other.row}   {_verdict(record)}"
        for record, one, other in zip(records, left, right, strict=True)
    ]
    return _draw_pairs(images, left, right, captions, Kind.BENCHMARK if leaks else Kind.SUBSET)


def _verdict(record: dict[str, Any]) -> str:
    evidence = record["evidence"].replace("_", " ")
    # Tables of older versions have no confidence.
    confidence = record.get("confidence")
    return evidence if confidence is None else f"{evidence} {confidence:.3f}"


def _positions_in(lake: Lake, subsets: Sequence[str], image_ids: set[str]) -> dict[str, ImagePosition]:
    """Return a position of each image, in the first subset that holds it."""
    found: dict[str, ImagePosition] = {}
    for subset in subsets:
        missing = image_ids - found.keys()
        if not missing:
            break
        found |= find_first_positions(lake, subset, missing)
    return found


def _draw_pairs(
    images: ImageReader,
    left: Sequence[ImagePosition],
    right: Sequence[ImagePosition],
    captions: Sequence[str],
    kind_of_right: Kind = Kind.SUBSET,
) -> str | None:
    if not left:
        return None
    shown, others = images.read(Kind.SUBSET, left), images.read(kind_of_right, right)
    tiles = [
        PairTile(shown[one].preview.image, others[other].preview.image, caption)
        for one, other, caption in zip(left, right, captions, strict=True)
    ]
    return thumbnail_data_uri(pair_sheet(tiles, max_bytes=SHEET_BYTES))


def alignment_contact_sheets(images: ImageReader, listed: Manifest, rows: pa.Table) -> dict[str, str]:
    """Draw the rows whose texts fit their images worst and best, with the first image and the start of the texts.

    Args:
        images: reads the images.
        listed: manifest of `subset_images`.
        rows: table of `curation.alignment.summary.ROWS_SCHEMA`.

    Returns:
        data URIs of the sheets `worst_rows` and `best_rows`; none if no row has a score.
    """
    scored = rows.filter(pc.is_valid(rows["cosine_mean"]))
    sheets = {}
    for name, order in (("worst_rows", "ascending"), ("best_rows", "descending")):
        sorting = [("cosine_mean", order), ("row", "ascending")]
        chosen = scored.take(pc.select_k_unstable(scored, k=min(ROWS_SHOWN, scored.num_rows), sort_keys=sorting))
        positions = _first_image_of_rows(images.lake, listed, chosen["row"].to_pylist())
        texts = row_texts(images.lake, listed.partition, positions)
        found = images.read(Kind.SUBSET, positions.values())
        tiles = [
            ImageTile(
                found[positions[record["row"]]].preview.image,
                [f"row {record['row']}  {record['clip_score_mean']:.3f}", texts[record["row"]][:TEXT_SHOWN]],
            )
            for record in chosen.to_pylist()
        ]
        if tiles:
            sheets[name] = thumbnail_data_uri(image_sheet(tiles, max_bytes=SHEET_BYTES))
    return sheets


def _first_image_of_rows(lake: Lake, images: Manifest, rows: Sequence[int]) -> dict[int, ImagePosition]:
    """Return the position of the first readable image of some rows."""
    listed = lake.read(
        images,
        columns=["row", "image_index", "image_id"],
        where=(pc.field("status") == "ok") & pc.field("row").isin(pa.array(rows, pa.int64())),
    )
    found: dict[int, ImagePosition] = {}
    for record in listed.to_pylist():
        found.setdefault(record["row"], ImagePosition(images.partition, *record.values()))
    return found
