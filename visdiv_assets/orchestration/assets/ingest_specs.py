"""The assets that the pass over a source makes, as the UI shows them, and their checks."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.ingest.turns import STRINGS_SCHEMA, TURNS_SCHEMA
from visdiv_assets.orchestration.assets.stage import check_spec, column_schema
from visdiv_assets.orchestration.partitions import PARTITIONS
from visdiv_assets.sources import Kind

#: Versions of the code behind the products, each raised when its results change.
IMAGES_VERSION = "4"
TEXTS_VERSION = "2"
THUMBNAILS_VERSION = "2"
FEATURES_VERSION = "2"
VECTORS_VERSION = "2"

_VECTORS = {"numpy", "onnx", "pytorch"}

_CHECKS = {
    "unreadable_share": "The share of unreadable images is at most VISDIV_UNREADABLE_LIMIT (warns).",
    "all_rows_read": "Every position is within the number of rows that the metadata of the files states.",
    "every_row_counted": "The table has the texts, or the number of turns, of every row of the files.",
    "one_per_image": "Every distinct readable image occurs once, unless the setting leaves the table empty.",
    "one_vector_per_image": "The numbers of vectors, image_ids and distinct readable images are equal.",
    "finite_unit_length": "Every vector is finite and has length 1 (within 0.001, float16 storage); those of regions "
    "without a vector are zero.",
    "one_model": "The configured model made all stored vectors.",
}
#: Checks that block the assets downstream.
_BLOCKING = {"all_rows_read", "every_row_counted", "one_vector_per_image", "finite_unit_length", "one_model"}
_VECTOR_CHECKS = ("one_vector_per_image", "finite_unit_length", "one_model")


def pass_specs(kind: Kind) -> list[dg.AssetSpec]:
    """Return the assets that the pass over a subset, or a benchmark, makes."""
    return list(_subset_specs() if kind is Kind.SUBSET else _benchmark_specs())


def pass_checks(kind: Kind) -> list[dg.AssetCheckSpec]:
    """Return the checks of these assets."""
    tables = CONTENT[kind]
    checks = {
        tables.images: ("unreadable_share", "all_rows_read"),
        tables.texts: ("every_row_counted",),
        tables.thumbnails: ("one_per_image",),
        tables.features: ("one_per_image",),
        tables.embeddings: _VECTOR_CHECKS,
        tables.regions: _VECTOR_CHECKS,
    }
    if kind is Kind.SUBSET:
        checks[LakeTable.CLIP_IMAGE_EMBEDDINGS] = _VECTOR_CHECKS
    return [
        check_spec(
            name,
            asset=asset,
            partitions_def=PARTITIONS[kind],
            blocking=name in _BLOCKING,
            description=_CHECKS[name],
        )
        for asset, names in checks.items()
        for name in names
    ]


def _subset_specs() -> Iterator[dg.AssetSpec]:
    yield _spec(
        LakeTable.SUBSET_IMAGES,
        "subset_files",
        "3_images",
        {"parquet", "pillow"},
        IMAGES_VERSION,
        IMAGES_SCHEMA,
        """Every image position of a subset: identity, format, size, and the reason if the image cannot be read.

        Each image is hashed and decoded in full, so truncated files are found here. Unreadable images are recorded with
        their reason and do not stop the run. One file of the subset is one unit of work: files that have not changed,
        or that an interrupted run finished, are not read again.
        """,
    )
    yield _spec(
        LakeTable.SUBSET_TURNS,
        LakeTable.SUBSET_IMAGES,
        "3_images",
        {"parquet"},
        TEXTS_VERSION,
        TURNS_SCHEMA,
        """Every turn of a subset: question, answer and the four ratings. Later stages read texts here.""",
    )
    yield _spec(
        LakeTable.SUBSET_THUMBNAILS,
        LakeTable.SUBSET_IMAGES,
        "3_images",
        {"pillow"},
        THUMBNAILS_VERSION,
        IDS_SCHEMA,
        """A thumbnail of every distinct readable image of a subset, as WebP, which reports and maps show.

        VISDIV_THUMBNAIL_SIDE is the longest side in pixels; images are never enlarged. With 0 the table is empty.
        """,
    )
    yield _spec(
        LakeTable.SUBSET_FEATURES,
        LakeTable.SUBSET_IMAGES,
        "3_images",
        {"numpy"},
        FEATURES_VERSION,
        IDS_SCHEMA,
        """The local features of every distinct readable image of a subset, which verification compares first.

        With VISDIV_LOCAL_FEATURES=false the table is empty.
        """,
    )
    yield _spec(
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.SUBSET_IMAGES,
        "4_embeddings",
        _VECTORS,
        VECTORS_VERSION,
        IDS_SCHEMA,
        """The SSCD embedding of every distinct readable image of a subset: float16, unit length, with its image_id.

        Images are streamed from the source, decoded in threads, resized to 320 x 320 and embedded in batches; an image
        that occurs several times is embedded once. One file of the subset is one unit of work, so an interrupted run
        resumes after the last finished file. Vectors of images that were embedded before are reused.
        """,
    )
    yield _spec(
        LakeTable.SUBSET_REGIONS,
        LakeTable.SUBSET_IMAGES,
        "4_embeddings",
        _VECTORS,
        VECTORS_VERSION,
        IDS_SCHEMA,
        """The SSCD embeddings of 9 regions of every distinct readable image of a subset, as one vector: float16.

        The regions are 3 x 3, half as wide and half as high as the image. Blank regions, and those of images of fewer
        than 128 x 128 pixels, have no vector: theirs is zero. They propose pairs of an image and a larger one that
        shows it. With VISDIV_REGIONS=false, the default, the table is empty.
        """,
    )
    yield _spec(
        LakeTable.CLIP_IMAGE_EMBEDDINGS,
        LakeTable.SUBSET_IMAGES,
        "4_embeddings",
        {"numpy", "pytorch"},
        VECTORS_VERSION,
        IDS_SCHEMA,
        """The CLIP embedding of every distinct readable image of a subset: float16, unit length, with its image_id.

        Made in the same way as sscd_embeddings. The norms of the vectors before normalization are stored too, since
        some selection methods use them. Without CLIP weights nothing is made, and the metadata says why.
        """,
    )


def _benchmark_specs() -> Iterator[dg.AssetSpec]:
    group = "2_benchmarks"
    yield _spec(
        LakeTable.BENCHMARK_IMAGES,
        "benchmark_files",
        group,
        {"parquet", "pillow"},
        IMAGES_VERSION,
        IMAGES_SCHEMA,
        """Every image position of a benchmark's test set, decoded exactly as the images of subsets are.

        EXIF orientation is applied here too; otherwise copies of an image that is stored rotated would not be found.
        """,
    )
    yield _spec(
        LakeTable.BENCHMARK_STRINGS,
        LakeTable.BENCHMARK_IMAGES,
        group,
        {"parquet"},
        TEXTS_VERSION,
        STRINGS_SCHEMA,
        """All strings of each row of a benchmark's test set: questions, options, answers, in whatever columns they are.

        Images in base64 are left out. Later stages read texts here.
        """,
    )
    yield _spec(
        LakeTable.BENCHMARK_THUMBNAILS,
        LakeTable.BENCHMARK_IMAGES,
        group,
        {"pillow"},
        THUMBNAILS_VERSION,
        IDS_SCHEMA,
        """A thumbnail of every distinct readable image of a benchmark's test set, made as those of subsets.""",
    )
    yield _spec(
        LakeTable.BENCHMARK_FEATURES,
        LakeTable.BENCHMARK_IMAGES,
        group,
        {"numpy"},
        FEATURES_VERSION,
        IDS_SCHEMA,
        """The local features of every distinct readable image of a benchmark's test set, made as those of subsets.""",
    )
    yield _spec(
        LakeTable.BENCHMARK_EMBEDDINGS,
        LakeTable.BENCHMARK_IMAGES,
        group,
        _VECTORS,
        VECTORS_VERSION,
        IDS_SCHEMA,
        """The SSCD embedding of every distinct readable image of a benchmark's test set, made as those of subsets.

        A benchmark without any readable image is an error: it would look free of contamination.
        """,
    )
    yield _spec(
        LakeTable.BENCHMARK_REGIONS,
        LakeTable.BENCHMARK_IMAGES,
        group,
        _VECTORS,
        VECTORS_VERSION,
        IDS_SCHEMA,
        """The SSCD embeddings of 9 regions of every distinct readable image of a benchmark, as those of subsets.""",
    )


def _spec(
    name: str, upstream: str, group: str, kinds: set[str], code_version: str, columns: pa.Schema, description: str
) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=[upstream],
        description="\n".join(line.strip() for line in description.splitlines()),
        metadata=column_schema(columns),
        group_name=group,
        code_version=code_version,
        kinds=kinds,
        partitions_def=PARTITIONS[Kind.BENCHMARK if group == "2_benchmarks" else Kind.SUBSET],
    )
