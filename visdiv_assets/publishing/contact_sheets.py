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
#: Columns with the two images of a pair.
SIDES = ("image_id_a", "image_id_b")


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
    if not records:
        return None
    positions = find_first_positions(images.lake, subset, (record[side] for record in records for side in SIDES))
    found = images.read(Kind.SUBSET, positions.values())
    tiles = []
    for record in records:
        first, second = sorted(positions[record[side]] for side in SIDES)
        text = f"row {first.row} | row {second.row}   {caption(record)}"
        tiles.append(PairTile(found[first].preview.image, found[second].preview.image, text))
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
