"""Maps of a subset, for people to look at."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.image_lookup import ImagePosition, fetch_images
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.imaging.listing import first_positions
from visdiv_assets.imaging.thumbnails import key_of, thumbnails
from visdiv_assets.orchestration.assets.common import (
    check_spec,
    column_schema,
    current_embeddings,
    materialized,
    user_errors,
)
from visdiv_assets.orchestration.partitions import subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    LakeResource,
    MapsResource,
    ReportsResource,
    SourceResource,
)
from visdiv_assets.publishing.maps.layout import SEED, draw_sample
from visdiv_assets.publishing.maps.page import write_map
from visdiv_assets.publishing.maps.points import POINTS_SCHEMA, Sampled, map_points
from visdiv_assets.publishing.plots.maps import plot
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.texts import row_texts
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

CODE_VERSION = "1"

#: Images that the page shows on hover, spread evenly over the points; each takes some kilobytes of it.
IMAGES_SHOWN = 1500

#: What is mapped, by the table that holds its vectors.
KINDS: dict[str, str] = {
    LakeTable.SSCD_EMBEDDINGS: "sscd",
    LakeTable.CLIP_IMAGE_EMBEDDINGS: "clip_image",
    LakeTable.CLIP_TEXT_EMBEDDINGS: "clip_text",
}


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, *KINDS],
    group_name="5_findings",
    kinds={"parquet", "html"},
    code_version=CODE_VERSION,
    metadata=column_schema(POINTS_SCHEMA),
    check_specs=[
        check_spec(
            "points_sound",
            asset=LakeTable.MAPS,
            partitions_def=subset_partitions,
            description="Every point has a place, and stands once on each map.",
        )
    ],
)
def maps(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    reports: ReportsResource,
    map_settings: MapsResource,
) -> dg.MaterializeResult:
    """Maps of a subset (UMAP): its images by SSCD and, where there are CLIP vectors, its images and texts by CLIP.

    Dense groups of points are clusters, named by the words that set the texts of their rows apart. Of a large subset a
    seeded sample is shown (VISDIV_MAP_POINTS). The page below reports/maps shows images on hover and opens from disk.
    Part of no other job than maps_pipeline, since UMAP takes minutes.
    """
    subset = context.partition_key
    path = Path(reports.folder) / "maps" / f"{escape(subset)}.html"
    with user_errors():
        store = lake.open()
        images = store.require(LakeTable.SUBSET_IMAGES, subset)
        used = [current_embeddings(store, images, table) for table in KINDS if _there(store, table, subset)]
        inputs = {part.table: part.digest for part in (images, *used)}
        write = store.write(
            LakeTable.MAPS,
            subset,
            code_version=CODE_VERSION,
            inputs=inputs,
            settings={"map_points": map_settings.points, "seed": SEED},
            source_revision=images.source_revision,
            run_id=context.run.run_id,
        )
        begin = time.monotonic()
        opened = source.open()
        made = not write.reuse("points", inputs)
        if made:
            with write.add("points", inputs) as unit:
                tables = [POINTS_SCHEMA.empty_table(), *_mapped(store, opened, images, used, map_settings.points)]
                unit.table("points", pa.concat_tables(tables), POINTS_SCHEMA)
        points = store.read(write.draft(), "points")
        if points.num_rows and (made or not path.is_file()):
            _write_page(path, opened, subset, points, decoder)
        manifest = write.commit()
    defects = _defects(points)
    counts = {pair["values"]: pair["counts"] for pair in points["kind"].value_counts().to_pylist()}
    shown: dict[str, dg.MetadataValue] = {}
    if points.num_rows:
        drawn = base64.b64encode(plot(points)).decode("ascii")
        shown = {
            "maps": dg.MetadataValue.md(f"![maps](data:image/png;base64,{drawn})"),
            "report": dg.MetadataValue.path(path),
        }
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": points.num_rows,
            **{f"points_{kind}": count for kind, count in counts.items()},
            "seconds": time.monotonic() - begin,
            **shown,
        },
        [dg.AssetCheckResult(check_name="points_sound", passed=not any(defects.values()), metadata=defects)],
    )


def _there(store: Lake, table: str, subset: str) -> bool:
    """Whether a table is there; SSCD's must be, and its lack is said by whoever reads it."""
    return KINDS[table] == "sscd" or store.manifest(table, subset) is not None


def _mapped(store: Lake, source: Source, images: Manifest, used: list[Manifest], points: int) -> Iterator[pa.Table]:
    for embeddings in used:
        sample = (_texts if KINDS[embeddings.table] == "clip_text" else _images)(store, images, embeddings, points)
        texts = row_texts(source, Kind.SUBSET, images.partition, sample.row.tolist())
        yield map_points(sample, [texts[row] for row in sample.row.tolist()])


def _images(store: Lake, images: Manifest, embeddings: Manifest, points: int) -> Sampled:
    vectors = store.array(embeddings, "vectors")
    number = draw_sample(len(vectors), points)
    ids = store.read(embeddings, "ids")["image_id"].take(pa.array(number))
    places = first_positions(store.read(images, columns=["row", "image_index", "image_id", "status"]))
    at = places.take(pa.array(IdIndex(places["image_id"]).rows(ids)))
    row, index = at["row"].to_numpy(), at["image_index"].to_pylist()
    return Sampled(KINDS[embeddings.table], vectors, number, ids.to_pylist(), row, index)


def _texts(store: Lake, images: Manifest, embeddings: Manifest, points: int) -> Sampled:
    vectors = store.array(embeddings, "vectors")
    number = draw_sample(len(vectors), points)
    ids = store.read(embeddings, "texts", columns=["text_id"])["text_id"].take(pa.array(number))
    turns = store.read(
        embeddings, "turns", columns=["row", "text_id"], where=pc.field("text_id").isin(ids.combine_chunks())
    )
    first = turns.group_by("text_id", use_threads=False).aggregate([("row", "min")])
    row = first["row_min"].take(pa.array(IdIndex(first["text_id"]).rows(ids))).to_numpy()
    return Sampled(KINDS[embeddings.table], vectors, number, ids.to_pylist(), row, [None] * len(number))


def _write_page(path: Path, source: Source, subset: str, points: pa.Table, decoder: DecoderResource) -> None:
    imaged = points.filter(pc.is_valid(points["image_index"])).group_by("id", use_threads=False)
    distinct = imaged.aggregate([("row", "min"), ("image_index", "min")])
    chosen = distinct.take(pa.array(draw_sample(distinct.num_rows, IMAGES_SHOWN)))
    places = [
        ImagePosition(subset, record["row_min"], record["image_index_min"], record["id"])
        for record in chosen.to_pylist()
    ]
    fetched = fetch_images(source, Kind.SUBSET, places)
    small = thumbnails((image.data for image in fetched.values()), limits=decoder.limits)
    images = {place.image_id: small[key_of(image.data)].encoded for place, image in fetched.items()}
    texts = row_texts(source, Kind.SUBSET, subset, points["row"].to_pylist())
    write_map(f"Maps of {subset}", points, path, images=images, texts=texts)


def _defects(points: pa.Table) -> dict[str, int]:
    placed = np.isfinite(points["x"].to_numpy()) & np.isfinite(points["y"].to_numpy())
    return {
        "without_a_place": int(np.count_nonzero(~placed)),
        "listed_twice": points.num_rows - points.group_by(["kind", "id"]).aggregate([]).num_rows,
    }
