"""Text read from the images of subsets and benchmarks (OCR)."""

import time
from collections.abc import Callable

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import first_positions, read_pairs
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.imaging.limits import decoding_settings
from visdiv_assets.orchestration.assets.stage import (
    Stage,
    check_spec,
    column_schema,
    digests_by_table,
    materialized,
    stage,
    table_preview,
)
from visdiv_assets.orchestration.partitions import benchmark_partitions, subset_partitions
from visdiv_assets.orchestration.resources import (
    DecoderResource,
    EngineResource,
    LakeResource,
    OcrResource,
    SourceResource,
)
from visdiv_assets.orchestration.work.image_texts import ReadImages, ReadUnit, found_batches
from visdiv_assets.orchestration.work.make_units import Planned, make_units
from visdiv_assets.progress import progress
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest, digest_of
from visdiv_assets.storage.partition_write import UnitWrite
from visdiv_assets.texts.ocr.findings import (
    BOXES_SCHEMA,
    FAILED,
    IMAGES_SCHEMA,
    PERSONAL_SCHEMA,
    READ_IMAGES_SCHEMA,
    READ_SCHEMA,
    personal_data,
    with_positions,
)
from visdiv_assets.texts.ocr.rapid import load_reader, reader_id
from visdiv_assets.texts.ocr.sample import SEED, choose_images, split_into_units

CODE_VERSION = "2"


def _images_read(table: str, partitions: dg.PartitionsDefinition[str]) -> dg.AssetCheckSpec:
    return check_spec(
        "images_read",
        asset=table,
        partitions_def=partitions,
        description="The reader failed on no image (warns).",
    )


@dg.asset(
    partitions_def=subset_partitions,
    deps=[LakeTable.SUBSET_IMAGES, LakeTable.SUBSET_TURNS],
    group_name="5_findings",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(IMAGES_SCHEMA),
    check_specs=[_images_read(LakeTable.IMAGE_TEXTS, subset_partitions)],
)
def image_texts(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    ocr: OcrResource,
) -> dg.MaterializeResult:
    """Text in the images of a subset (OCR by PP-OCRv6): boxes, texts, confidences, and share of the image's area.

    A seeded sample of images is read (VISDIV_OCR_SAMPLE; 0: all), each image_id once. The answers of the row where an
    image first occurs are compared with its text, since captions may repeat it (parrot captions). Images that say that
    an image is missing are flagged as placeholders, and personal data in the text are counted. Only the job
    ocr_pipeline and `visdiv run --ocr` include this asset: it needs the extra [ocr], and takes seconds per image. 32
    images are one unit of work.
    """
    with stage(context, lake, LakeTable.IMAGE_TEXTS, CODE_VERSION) as run:
        images, turns = run.require(LakeTable.SUBSET_IMAGES), run.current_turns()

        def describe(unit: UnitWrite, read: Manifest, positions: pa.Table) -> None:
            unit.table("images", found_batches(run.lake, read, positions, stored_turns(run.lake, turns)), IMAGES_SCHEMA)
            boxes = read_pairs(run.lake, read, BOXES_SCHEMA, "boxes")
            unit.table("personal", personal_data(positions, boxes), PERSONAL_SCHEMA)

        work = ReadImages(
            lake.in_each_process(), source.in_each_process(), Kind.SUBSET, images, load_reader, decoder.limits
        )
        return _read(run, engine, work, digests_by_table(images, turns), ocr.sample, describe)


@dg.asset(
    partitions_def=benchmark_partitions,
    deps=[LakeTable.BENCHMARK_IMAGES],
    group_name="2_benchmarks",
    kinds={"parquet"},
    code_version=CODE_VERSION,
    metadata=column_schema(READ_IMAGES_SCHEMA),
    check_specs=[_images_read(LakeTable.BENCHMARK_IMAGE_TEXTS, benchmark_partitions)],
)
def benchmark_image_texts(
    context: dg.AssetExecutionContext,
    source: SourceResource,
    lake: LakeResource,
    decoder: DecoderResource,
    engine: EngineResource,
    ocr: OcrResource,
) -> dg.MaterializeResult:
    """Text in the images of a benchmark's test set (OCR by PP-OCRv6), for image_text_leaks.

    As for subsets, a seeded sample of images is read (VISDIV_OCR_SAMPLE; 0: all), each image_id once. Only the job
    benchmark_ocr_pipeline and `visdiv run --ocr` include this asset: it needs the extra [ocr], and takes seconds per
    image. 32 images are one unit of work.
    """
    with stage(context, lake, LakeTable.BENCHMARK_IMAGE_TEXTS, CODE_VERSION) as run:
        images = run.require(LakeTable.BENCHMARK_IMAGES)

        def describe(unit: UnitWrite, read: Manifest, positions: pa.Table) -> None:
            texts = read_pairs(run.lake, read, READ_SCHEMA, "read")
            unit.table("images", with_positions(positions, texts), READ_IMAGES_SCHEMA)

        work = ReadImages(
            lake.in_each_process(), source.in_each_process(), Kind.BENCHMARK, images, load_reader, decoder.limits
        )
        return _read(run, engine, work, digests_by_table(images), ocr.sample, describe)


def _read(
    run: Stage,
    engine: EngineResource,
    work: ReadImages,
    inputs: dict[str, str],
    sample: int,
    describe: Callable[[UnitWrite, Manifest, pa.Table], None],
) -> dg.MaterializeResult:
    """Read a sample of images, unit by unit, and write what is found as one more unit.

    Args:
        run: the stage.
        engine: runs the units; those that an earlier run has read, decoded in the same way, are kept.
        work: reads the images of a unit.
        inputs: digests of what the table is made from.
        sample: number of images; 0: all.
        describe: writes what is found, given the manifest of the units and the positions of their images.
    """
    begin = time.monotonic()
    write = run.write(
        inputs,
        model_id=reader_id(),
        settings=decoding_settings(work.limits.decoding),
        source_revision=work.images.source_revision,
    )
    positions = _chosen_positions(run.lake, work.images, sample)
    planned = [
        Planned(f"images {number}", {"image_ids": digest_of(list(unit))}, unit)
        for number, unit in enumerate(split_into_units(positions["image_id"].to_pylist()))
    ]
    with progress(f"reading text in images of {run.partition}", positions.num_rows, "image") as advance:
        make_units(write, engine.open(), work, planned, _store, advance)
    reused, read = write.reused, write.draft()
    made_from = {**inputs, "read": digest_of([unit.digest for unit in read.units])}
    if not write.reuse("found", made_from):
        with write.add("found", made_from) as unit:
            describe(unit, read, positions)
    manifest = write.commit(sample=sample, seed=int(SEED), images_read=positions.num_rows)
    return _result(manifest, run.lake.read(manifest, "images"), reused, time.monotonic() - begin)


def _result(manifest: Manifest, found: pa.Table, reused: int, seconds: float) -> dg.MaterializeResult:
    counts = {
        "images_with_text": pc.sum(pc.greater(found["boxes"], 0)).as_py(),
        "placeholders": pc.sum(found["placeholder"]).as_py(),
    }
    failed = int(pc.sum(pc.equal(found["status"], FAILED)).as_py() or 0)
    return materialized(
        manifest,
        {
            "dagster/partition_row_count": found.num_rows,
            "images_read": found.num_rows - failed,
            "images_failed": failed,
            # Where nothing was read, nothing is known.
            **{name: count for name, count in counts.items() if count is not None},
            "largest": table_preview(found.sort_by([("text_area", "descending")])),
            "units_reused": reused,
            "seconds": seconds,
        },
        [
            dg.AssetCheckResult(
                check_name="images_read",
                passed=not failed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"images_failed": failed},
            )
        ],
    )


def _chosen_positions(lake: Lake, images: Manifest, sample: int) -> pa.Table:
    """Return the first positions of the images to read, in the order in which they are read."""
    first = first_positions(lake.read(images, columns=["row", "image_index", "image_id", "status"]))
    ids = first["image_id"].to_numpy().astype("S32")
    return first.take(pa.array(choose_images(ids, sample), pa.int64()))


def _store(unit: UnitWrite, image_ids: tuple[str, ...], result: ReadUnit) -> None:
    read, boxes = result
    unit.table("read", read, READ_SCHEMA)
    unit.table("boxes", boxes, BOXES_SCHEMA)
