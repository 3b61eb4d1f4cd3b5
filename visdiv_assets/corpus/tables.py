"""The tables of the lake: their names, what a partition of each is, and how to make one."""

from __future__ import annotations

import shlex
from enum import StrEnum
from typing import Final

#: Name of the only partition of a table about all subsets together.
CORPUS_PARTITION = "all"


class PartitionKind(StrEnum):
    """What a partition of a table is."""

    SUBSET = "subset"
    BENCHMARK = "benchmark"
    CORPUS = "corpus"


class LakeTable:
    """The names of the tables of the lake; each is the name of the asset that writes it.

    They are plain strings and not members of an enum, since Dagster stores them in asset keys.
    """

    SUBSET_IMAGES: Final = "subset_images"
    SUBSET_TURNS: Final = "subset_turns"
    SUBSET_THUMBNAILS: Final = "subset_thumbnails"
    SUBSET_FEATURES: Final = "subset_features"
    SSCD_EMBEDDINGS: Final = "sscd_embeddings"
    SUBSET_REGIONS: Final = "subset_regions"
    SSCD_INDEX: Final = "sscd_index"
    CLIP_IMAGE_EMBEDDINGS: Final = "clip_image_embeddings"
    CLIP_TEXT_EMBEDDINGS: Final = "clip_text_embeddings"
    CLIP_INDEX: Final = "clip_index"
    CLIP_NEAR_DUPLICATES: Final = "clip_near_duplicates"
    CLIP_IMAGE_TAGS: Final = "clip_image_tags"
    ALIGNMENT: Final = "alignment"
    QUALITY_ROWS: Final = "quality_rows"
    JUDGE_RATINGS: Final = "judge_ratings"
    NEAR_DUPLICATES: Final = "near_duplicates"
    VERIFIED_DUPLICATES: Final = "verified_duplicates"
    CONTAMINATION: Final = "contamination"
    VERIFIED_CONTAMINATION: Final = "verified_contamination"
    TEXT_CONTAMINATION: Final = "text_contamination"
    TEXT_SIGNATURES: Final = "text_signatures"
    TEXT_QUALITY: Final = "text_quality"
    LISTED_WORDS: Final = "listed_words"
    IMAGE_TYPES: Final = "image_types"
    SUBSET_DIVERSITY: Final = "subset_diversity"
    RAREFIED_DIVERSITY: Final = "rarefied_diversity"
    CALIBRATION: Final = "calibration"
    MAPS: Final = "maps"
    IMAGE_TEXTS: Final = "image_texts"
    IMAGE_TEXT_LEAKS: Final = "image_text_leaks"
    IMAGE_LISTED_WORDS: Final = "image_listed_words"
    MASKED_ALIGNMENT: Final = "masked_alignment"
    DUPLICATES_REPORT: Final = "duplicates_report"
    BENCHMARK_IMAGES: Final = "benchmark_images"
    BENCHMARK_STRINGS: Final = "benchmark_strings"
    BENCHMARK_THUMBNAILS: Final = "benchmark_thumbnails"
    BENCHMARK_FEATURES: Final = "benchmark_features"
    BENCHMARK_EMBEDDINGS: Final = "benchmark_embeddings"
    BENCHMARK_REGIONS: Final = "benchmark_regions"
    BENCHMARK_TEXTS: Final = "benchmark_texts"
    BENCHMARK_IMAGE_TEXTS: Final = "benchmark_image_texts"
    LEAK_REPORTS: Final = "leak_reports"
    CROSS_SUBSET_DUPLICATES: Final = "cross_subset_duplicates"
    VERIFIED_CROSS_SUBSET: Final = "verified_cross_subset"
    TEXT_DUPLICATES: Final = "text_duplicates"
    DUPLICATE_CLUSTERS: Final = "duplicate_clusters"
    CURATED_ROWS: Final = "curated_rows"
    CORPUS_DIVERSITY: Final = "corpus_diversity"
    SELECTION_SCORES: Final = "selection_scores"
    MIXTURE_WEIGHTS: Final = "mixture_weights"
    PUBLICATIONS: Final = "publications"


#: All tables, and the kind of their partitions.
TABLES: dict[str, PartitionKind] = {
    LakeTable.SUBSET_IMAGES: PartitionKind.SUBSET,
    LakeTable.SUBSET_TURNS: PartitionKind.SUBSET,
    LakeTable.SUBSET_THUMBNAILS: PartitionKind.SUBSET,
    LakeTable.SUBSET_FEATURES: PartitionKind.SUBSET,
    LakeTable.SSCD_EMBEDDINGS: PartitionKind.SUBSET,
    LakeTable.SUBSET_REGIONS: PartitionKind.SUBSET,
    LakeTable.SSCD_INDEX: PartitionKind.SUBSET,
    LakeTable.CLIP_IMAGE_EMBEDDINGS: PartitionKind.SUBSET,
    LakeTable.CLIP_TEXT_EMBEDDINGS: PartitionKind.SUBSET,
    LakeTable.CLIP_INDEX: PartitionKind.SUBSET,
    LakeTable.CLIP_NEAR_DUPLICATES: PartitionKind.SUBSET,
    LakeTable.CLIP_IMAGE_TAGS: PartitionKind.SUBSET,
    LakeTable.ALIGNMENT: PartitionKind.SUBSET,
    LakeTable.QUALITY_ROWS: PartitionKind.SUBSET,
    LakeTable.JUDGE_RATINGS: PartitionKind.SUBSET,
    LakeTable.NEAR_DUPLICATES: PartitionKind.SUBSET,
    LakeTable.VERIFIED_DUPLICATES: PartitionKind.SUBSET,
    LakeTable.CONTAMINATION: PartitionKind.SUBSET,
    LakeTable.VERIFIED_CONTAMINATION: PartitionKind.SUBSET,
    LakeTable.TEXT_CONTAMINATION: PartitionKind.SUBSET,
    LakeTable.TEXT_SIGNATURES: PartitionKind.SUBSET,
    LakeTable.TEXT_QUALITY: PartitionKind.SUBSET,
    LakeTable.LISTED_WORDS: PartitionKind.SUBSET,
    LakeTable.IMAGE_TYPES: PartitionKind.SUBSET,
    LakeTable.SUBSET_DIVERSITY: PartitionKind.SUBSET,
    LakeTable.RAREFIED_DIVERSITY: PartitionKind.SUBSET,
    LakeTable.CALIBRATION: PartitionKind.SUBSET,
    LakeTable.MAPS: PartitionKind.SUBSET,
    LakeTable.IMAGE_TEXTS: PartitionKind.SUBSET,
    LakeTable.IMAGE_TEXT_LEAKS: PartitionKind.SUBSET,
    LakeTable.IMAGE_LISTED_WORDS: PartitionKind.SUBSET,
    LakeTable.MASKED_ALIGNMENT: PartitionKind.SUBSET,
    LakeTable.DUPLICATES_REPORT: PartitionKind.SUBSET,
    LakeTable.BENCHMARK_IMAGES: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_STRINGS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_THUMBNAILS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_FEATURES: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_EMBEDDINGS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_REGIONS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_TEXTS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_IMAGE_TEXTS: PartitionKind.BENCHMARK,
    LakeTable.LEAK_REPORTS: PartitionKind.BENCHMARK,
    LakeTable.CROSS_SUBSET_DUPLICATES: PartitionKind.CORPUS,
    LakeTable.VERIFIED_CROSS_SUBSET: PartitionKind.CORPUS,
    LakeTable.TEXT_DUPLICATES: PartitionKind.CORPUS,
    LakeTable.DUPLICATE_CLUSTERS: PartitionKind.CORPUS,
    LakeTable.CURATED_ROWS: PartitionKind.CORPUS,
    LakeTable.CORPUS_DIVERSITY: PartitionKind.CORPUS,
    LakeTable.SELECTION_SCORES: PartitionKind.CORPUS,
    LakeTable.MIXTURE_WEIGHTS: PartitionKind.CORPUS,
    LakeTable.PUBLICATIONS: PartitionKind.CORPUS,
}

#: Tables that `visdiv run` leaves out: they are materialized in the Dagster UI on request. With VISDIV_JUDGE_URL it
#: makes judge_ratings after all others of a subset.
ON_REQUEST = frozenset({LakeTable.CALIBRATION, LakeTable.JUDGE_RATINGS, LakeTable.MAPS})

#: Tables whose stages read text in images, which takes seconds per image.
READS_IMAGES = frozenset({LakeTable.IMAGE_TEXTS, LakeTable.BENCHMARK_IMAGE_TEXTS})

#: Tables that only `visdiv run --ocr` makes where there are CLIP weights.
NEEDS_OCR_AND_CLIP = frozenset({LakeTable.MASKED_ALIGNMENT})

#: Tables that only `visdiv run --ocr` makes.
NEEDS_OCR = READS_IMAGES | NEEDS_OCR_AND_CLIP | {LakeTable.IMAGE_TEXT_LEAKS, LakeTable.IMAGE_LISTED_WORDS}

#: Tables of a subset that `visdiv run` skips where there are no CLIP weights.
NEEDS_CLIP = frozenset(
    {
        LakeTable.CLIP_IMAGE_EMBEDDINGS,
        LakeTable.CLIP_TEXT_EMBEDDINGS,
        LakeTable.CLIP_INDEX,
        LakeTable.CLIP_NEAR_DUPLICATES,
        LakeTable.CLIP_IMAGE_TAGS,
        LakeTable.ALIGNMENT,
    }
)


def remedy(table: str, partition: str) -> str:
    """Return what makes a partition, as an imperative clause: "run `visdiv run coco`".

    `visdiv run NAME` takes subsets only; benchmarks and corpus tables are made by `visdiv run --all`.

    Args:
        table: name of a table of the lake.
        partition: name of the partition; of a corpus table it is `CORPUS_PARTITION`.

    Raises:
        ValueError: there is no such table.
    """
    if table not in TABLES:
        raise ValueError(f"the lake has no table {table!r}")
    if table == LakeTable.MIXTURE_WEIGHTS:
        return "run `visdiv mixture`"
    if table in ON_REQUEST and table != LakeTable.JUDGE_RATINGS:
        return f"materialize {table} of {partition!r} in `visdiv ui`"
    asked = "--ocr " if table in NEEDS_OCR else ""
    if TABLES[table] is not PartitionKind.SUBSET:
        return f"run `visdiv run {asked}--all`"
    # A name that begins with a dash would be read as an option.
    option_end = "-- " if partition.startswith("-") else ""
    command = f"run `visdiv run {asked}{option_end}{shlex.quote(partition)}`"
    if table == LakeTable.JUDGE_RATINGS:
        return f"{command} with VISDIV_JUDGE_URL"
    return f"{command} with CLIP weights in VISDIV_CLIP_MODEL" if table in NEEDS_CLIP | NEEDS_OCR_AND_CLIP else command
