"""The maps of a subset: samples of its stored vectors, laid out, and the page that shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import first_positions
from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import row_texts, row_turns
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.thumbnails import thumbnails
from visdiv_assets.publishing.maps.layout import draw_sample
from visdiv_assets.publishing.maps.page import write_map
from visdiv_assets.publishing.maps.points import POINTS_SCHEMA, Sampled, map_points
from visdiv_assets.publishing.site_head import SiteHead
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Kinds of maps, by the table that holds the vectors.
KINDS: dict[str, str] = {
    LakeTable.SSCD_EMBEDDINGS: "sscd",
    LakeTable.CLIP_IMAGE_EMBEDDINGS: "clip_image",
    LakeTable.CLIP_TEXT_EMBEDDINGS: "clip_text",
}

#: Images that the page shows on hover, spread evenly over the points; each adds some kilobytes to it.
IMAGES_SHOWN = 1500


@dataclass(frozen=True)
class MapRules:
    """How maps are drawn.

    Attributes:
        max_points: points of a map at most.
        layouts: names out of `layout.LAYOUTS`, one or more.
        template_images: minimum number of rows in which a question that names no cluster stands.
    """

    max_points: int
    layouts: tuple[str, ...]
    template_images: int


def map_subset(lake: Lake, images: Manifest, embeddings: Sequence[Manifest], rules: MapRules) -> pa.Table:
    """Lay out samples of a subset's vectors: table of `points.POINTS_SCHEMA`, for each kind of embedding.

    Args:
        lake: where the vectors are, and the texts, which name the clusters.
        images: manifest of `subset_images`.
        embeddings: manifests of tables in `KINDS`.
        rules: how maps are drawn.
    """
    return pa.concat_tables([POINTS_SCHEMA.empty_table(), *_map_each(lake, images, embeddings, rules)])


def write_subset_page(path: Path, images: ImageReader, subset: str, points: pa.Table, head: SiteHead) -> None:
    """Write the page with the maps of a subset, with thumbnails and texts that it shows on hover.

    Args:
        path: of the page.
        images: reads the images.
        subset: its name.
        points: table of `points.POINTS_SCHEMA`.
        head: of the page.
    """
    of_images = points.filter(pc.is_valid(points["image_index"])).group_by("id", use_threads=False)
    distinct = of_images.aggregate([("row", "min"), ("image_index", "min")])
    chosen = distinct.take(pa.array(draw_sample(distinct.num_rows, IMAGES_SHOWN)))
    positions = [
        ImagePosition(subset, record["row_min"], record["image_index_min"], record["id"])
        for record in chosen.to_pylist()
    ]
    found = images.read(Kind.SUBSET, positions)
    small = thumbnails(image.preview for image in found.values())
    shown = {position.image_id: small[image.preview].encoded for position, image in found.items()}
    texts = row_texts(images.lake, subset, points["row"].to_pylist())
    write_map(f"Maps of {subset}", points, path, images=shown, texts=texts, head=head)


def point_defects(points: pa.Table) -> dict[str, int]:
    """Count the points without coordinates, and those that a map shows twice, in a table of `points.POINTS_SCHEMA`."""
    placed = np.isfinite(points["x"].to_numpy()) & np.isfinite(points["y"].to_numpy())
    return {
        "without_a_place": int(np.count_nonzero(~placed)),
        "listed_twice": points.num_rows - points.group_by(["kind", "layout", "id"]).aggregate([]).num_rows,
    }


def _map_each(lake: Lake, images: Manifest, used: Sequence[Manifest], rules: MapRules) -> Iterator[pa.Table]:
    for embeddings in used:
        draw = _draw_texts if KINDS[embeddings.table] == "clip_text" else _draw_images
        sample = draw(lake, images, embeddings, rules.max_points)
        turns = row_turns(lake, images.partition, sample.row.tolist())
        yield map_points(sample, [turns[row] for row in sample.row.tolist()], rules.layouts, rules.template_images)


def _draw_images(lake: Lake, images: Manifest, embeddings: Manifest, max_points: int) -> Sampled:
    vectors = lake.array(embeddings, "vectors")
    drawn = draw_sample(len(vectors), max_points)
    ids = lake.read(embeddings, "ids")["image_id"].take(pa.array(drawn))
    positions = first_positions(lake.read(images, columns=["row", "image_index", "image_id", "status"]))
    found = positions.take(pa.array(IdIndex(positions["image_id"]).rows(ids)))
    row, image_index = found["row"].to_numpy(), found["image_index"].to_pylist()
    return Sampled(KINDS[embeddings.table], vectors, drawn, ids.to_pylist(), row, image_index)


def _draw_texts(lake: Lake, images: Manifest, embeddings: Manifest, max_points: int) -> Sampled:
    vectors = lake.array(embeddings, "vectors")
    drawn = draw_sample(len(vectors), max_points)
    ids = lake.read(embeddings, "texts", columns=["text_id"])["text_id"].take(pa.array(drawn))
    turns = lake.read(
        embeddings, "turns", columns=["row", "text_id"], where=pc.field("text_id").isin(ids.combine_chunks())
    )
    first = turns.group_by("text_id", use_threads=False).aggregate([("row", "min")])
    row = first["row_min"].take(pa.array(IdIndex(first["text_id"]).rows(ids))).to_numpy()
    return Sampled(KINDS[embeddings.table], vectors, drawn, ids.to_pylist(), row, [None] * len(drawn))
