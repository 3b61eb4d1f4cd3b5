"""The tables of the lake: their names, what a partition of each is, and how to make one."""

from __future__ import annotations

import shlex
from enum import StrEnum

#: The one partition of a table that concerns all subsets together.
CORPUS_PARTITION = "all"


class PartitionKind(StrEnum):
    """What a partition of a table is."""

    SUBSET = "subset"
    BENCHMARK = "benchmark"
    CORPUS = "corpus"


class LakeTable(StrEnum):
    """A table of the lake, named as the asset that writes it."""

    SUBSET_IMAGES = "subset_images"
    SSCD_EMBEDDINGS = "sscd_embeddings"
    SSCD_INDEX = "sscd_index"
    CLIP_IMAGE_EMBEDDINGS = "clip_image_embeddings"
    CLIP_TEXT_EMBEDDINGS = "clip_text_embeddings"
    CLIP_INDEX = "clip_index"
    CLIP_NEAR_DUPLICATES = "clip_near_duplicates"
    ALIGNMENT = "alignment"
    QUALITY_ROWS = "quality_rows"
    NEAR_DUPLICATES = "near_duplicates"
    VERIFIED_DUPLICATES = "verified_duplicates"
    CONTAMINATION = "contamination"
    VERIFIED_CONTAMINATION = "verified_contamination"
    TEXT_CONTAMINATION = "text_contamination"
    SUBSET_DIVERSITY = "subset_diversity"
    RAREFIED_DIVERSITY = "rarefied_diversity"
    CALIBRATION = "calibration"
    MAPS = "maps"
    DUPLICATES_REPORT = "duplicates_report"
    BENCHMARK_IMAGES = "benchmark_images"
    BENCHMARK_EMBEDDINGS = "benchmark_embeddings"
    BENCHMARK_TEXTS = "benchmark_texts"
    LEAK_REPORTS = "leak_reports"
    CROSS_SUBSET_DUPLICATES = "cross_subset_duplicates"
    VERIFIED_CROSS_SUBSET = "verified_cross_subset"
    DUPLICATE_CLUSTERS = "duplicate_clusters"
    CURATED_ROWS = "curated_rows"
    CORPUS_DIVERSITY = "corpus_diversity"
    SELECTION_SCORES = "selection_scores"
    MIXTURE_WEIGHTS = "mixture_weights"

    @property
    def kind(self) -> PartitionKind:
        """Return what a partition of the table is."""
        return _KINDS.get(self, PartitionKind.SUBSET)


_KINDS = {
    LakeTable.BENCHMARK_IMAGES: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_EMBEDDINGS: PartitionKind.BENCHMARK,
    LakeTable.BENCHMARK_TEXTS: PartitionKind.BENCHMARK,
    LakeTable.LEAK_REPORTS: PartitionKind.BENCHMARK,
    LakeTable.CROSS_SUBSET_DUPLICATES: PartitionKind.CORPUS,
    LakeTable.VERIFIED_CROSS_SUBSET: PartitionKind.CORPUS,
    LakeTable.DUPLICATE_CLUSTERS: PartitionKind.CORPUS,
    LakeTable.CURATED_ROWS: PartitionKind.CORPUS,
    LakeTable.CORPUS_DIVERSITY: PartitionKind.CORPUS,
    LakeTable.SELECTION_SCORES: PartitionKind.CORPUS,
    LakeTable.MIXTURE_WEIGHTS: PartitionKind.CORPUS,
}

#: Tables that `visdiv run` leaves out: they are materialized in the Dagster UI when somebody wants them.
ON_REQUEST = frozenset({LakeTable.CALIBRATION, LakeTable.MAPS})


def remedy(table: str, partition: str) -> str:
    """Return what makes a partition, as an imperative clause: "run `visdiv run coco`".

    Args:
        table: name of a table of the lake.
        partition: name of the partition; of a corpus table it is `CORPUS_PARTITION`.
    """
    known = LakeTable(table)
    if known is LakeTable.MIXTURE_WEIGHTS:
        return "run `visdiv mixture`"
    if known in ON_REQUEST:
        return f"materialize {table} of {partition!r} in `visdiv ui`"
    if known.kind is PartitionKind.SUBSET:
        return f"run `visdiv run {shlex.quote(partition)}`"
    return "run `visdiv run --all`"
