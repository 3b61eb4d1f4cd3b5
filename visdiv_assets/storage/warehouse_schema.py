"""The tables of the warehouse: names, types and comments, in one place.

This is a contract with BI tools: columns may be added, never renamed or removed.
"""

from __future__ import annotations

from visdiv_assets.settings import NAMED_THRESHOLDS
from visdiv_assets.storage.warehouse_clip import (
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIRS,
    MAP_POINTS,
    SELECTION_SCORES,
)
from visdiv_assets.storage.warehouse_columns import IMAGE_ID as _IMAGE_ID
from visdiv_assets.storage.warehouse_columns import IMAGE_INDEX as _IMAGE_INDEX
from visdiv_assets.storage.warehouse_columns import MODEL_ID as _MODEL_ID
from visdiv_assets.storage.warehouse_columns import ROW as _ROW
from visdiv_assets.storage.warehouse_columns import SUBSET as _SUBSET
from visdiv_assets.storage.warehouse_columns import Column, Table
from visdiv_assets.storage.warehouse_texts import TEXT_CONTAMINATION_RATES, TEXT_OVERLAPS


def neighbours_column(threshold_name: str) -> str:
    """The column of `images` that counts neighbours at a named threshold: `neighbours_finevision`."""
    return f"neighbours_{threshold_name}"


_SIMILARITY = Column("similarity", "FLOAT", "Cosine similarity of the two embeddings.")
_NORMALISED = Column(
    "similarity_normalised",
    "FLOAT",
    "SSCD's normalised score: similarity minus the background similarity; low for pictures of one template. NULL if "
    "there were too few pictures to tell.",
)
_LOW_INFORMATION = Column("low_information", "BOOLEAN", "Whether one of the two has little in it, as a blank page has.")
_THRESHOLD = Column(
    "threshold",
    "DOUBLE",
    "Similarity from which it counts. finevision 0.95, blog 0.93, hf_toolkit 0.90, sscd_paper 0.75.",
)
_VERIFIED = Column("verified", "BOOLEAN", "Whether the pixels confirm the pair; NULL: not looked at.")
_EVIDENCE = Column("evidence", "VARCHAR", "What the pixels showed; NULL: not looked at.")
_VERDICT = (
    Column("reason", "VARCHAR", "Why the pixels did not confirm the pair; empty if they did; NULL: not looked at."),
    Column("overlap", "FLOAT", "Share of the smaller picture that the other shows; NULL: not looked at."),
    Column("agreement", "FLOAT", "Share of the textured places of the overlap that agree; NULL: not looked at."),
    Column(
        "transform",
        "FLOAT[]",
        "Row-major 2 x 3 affine map from places in the second picture to places in the first, both in units of their "
        "own width and height; empty if none was found.",
    ),
    Column("pdq_distance", "SMALLINT", "Differing bits, of 256, of the PDQ hashes; NULL: PDQ did not find the pair."),
)
_MATERIALIZED_AT = Column("materialized_at", "TIMESTAMP", "When it was written, UTC.")

SUBSETS = Table(
    "subsets",
    "One row per subset: how much is in it.",
    (
        _SUBSET,
        Column("category", "VARCHAR", "Category in FineVision's taxonomy; NULL for subsets that are not in it."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column(
            "rows_kept",
            "BIGINT",
            "Rows that the quality thresholds keep (all that have a turn, unless some are set).",
        ),
        Column("images", "BIGINT", "Image positions, unreadable ones included."),
        Column("images_unique", "BIGINT", "Different readable pictures, by their bytes."),
        Column(
            "images_unreadable",
            "BIGINT",
            "Image positions that cannot be decoded; the table images says why.",
        ),
        Column("source_revision", "VARCHAR", "Version of the subset's rows: a digest over its files."),
        _MODEL_ID,
        _MATERIALIZED_AT,
    ),
)

IMAGES = Table(
    "images",
    "One row per image position: what the picture is, or why it cannot be read.",
    (
        _SUBSET,
        _ROW,
        _IMAGE_INDEX,
        _IMAGE_ID,
        Column("format", "VARCHAR", "File format: jpeg, png, ...; NULL if it is not a picture."),
        Column("width", "INTEGER", "Pixels, as shown (EXIF orientation applied)."),
        Column("height", "INTEGER", "Pixels, as shown (EXIF orientation applied)."),
        Column("size_bytes", "BIGINT", "Size of the encoded picture in bytes."),
        Column("status", "VARCHAR", "ok, empty, not_an_image, truncated, corrupt or too_large."),
        Column("detail", "VARCHAR", "Why it cannot be read; empty if it can."),
        Column("brightness_deviation", "FLOAT", "Standard deviation of brightness, 0 to 127.5, in a 64 x 64 copy."),
        Column("colours", "INTEGER", "Colours, of 512, that cover 99 % of a 64 x 64 copy."),
        Column(
            "low_information",
            "BOOLEAN",
            "Near-constant or few colours, as blank and text pages are: a similarity says less there.",
        ),
        Column(
            "background_similarity",
            "FLOAT",
            "Mean similarity to the 3 nearest pictures of a seeded sample of the subset's other pictures; subtract it "
            "from a similarity for SSCD's normalised score. NULL if not computed.",
        ),
        *(
            Column(
                neighbours_column(name),
                "BIGINT",
                f"Other pictures of the subset with similarity >= {value} (threshold {name}), counted in full; NULL if "
                "not computed, or if the floor is above the threshold.",
            )
            for name, value in NAMED_THRESHOLDS.items()
        ),
    ),
)

QUALITY = Table(
    "quality",
    "How often each rating was given, by subset and criterion.",
    (
        _SUBSET,
        Column("criterion", "VARCHAR", "relevance, image_correspondence, visual_dependency or formatting."),
        Column("rating", "INTEGER", "1 (worst) to 5 (best); NULL: turns without this rating."),
        Column("turns", "BIGINT", "Turns (a question and its answer) with that rating."),
    ),
)

DUPLICATE_PAIRS = Table(
    "duplicate_pairs",
    "Pairs of different pictures that are close, or that the pixels confirm to be copies, each once; byte-equal copies "
    "share an image_id and are no pair.",
    (
        Column("image_id_a", "VARCHAR", "The picture with the lower image_id."),
        Column("image_id_b", "VARCHAR", "The picture with the higher image_id."),
        _SIMILARITY,
        _MODEL_ID,
        _VERIFIED,
        _EVIDENCE,
        _NORMALISED,
        _LOW_INFORMATION,
        *_VERDICT,
    ),
)

DUPLICATE_PAIR_POSITIONS = Table(
    "duplicate_pair_positions",
    "Pairs of image positions that are duplicates, each once: byte-equal (exact) or close (near). A view: filter it by "
    "similarity.",
    (
        Column(
            "subset_a",
            "VARCHAR",
            "Subset of the first position; the first is the lower by subset, row, index.",
        ),
        Column("row_a", "BIGINT", "Row of the first position."),
        Column("image_a", "INTEGER", "Place of the first picture in its row."),
        Column("subset_b", "VARCHAR", "Subset of the second position."),
        Column("row_b", "BIGINT", "Row of the second position."),
        Column("image_b", "INTEGER", "Place of the second picture in its row."),
        Column("similarity", "FLOAT", "Cosine similarity of the embeddings; 1 for exact copies."),
        Column("kind", "VARCHAR", "exact: the same bytes; near: other bytes, but close, or confirmed by the pixels."),
        Column("verified", "BOOLEAN", "Whether the pixels confirm the pair; true for exact; NULL: not looked at."),
    ),
)

DIVERSITY_PUBLISHED = Table(
    "diversity_published",
    "The diversity of four data sets as FineVision's authors published it; compare with scope corpus, centered.",
    (
        Column("dataset", "VARCHAR", "The data set."),
        Column("images", "BIGINT", "Pictures, rounded to 0.1 million."),
        Column("effective_rank", "DOUBLE", "arXiv 2510.17269, table 1; of the covariance, it is assumed."),
        Column("participation_ratio", "DOUBLE", "Likewise."),
        Column("score", "DOUBLE", "sqrt(effective_rank * participation_ratio) / 512, as published."),
    ),
)
MIXTURE_WEIGHTS = Table(
    "mixture_weights",
    "The most diverse mixture of subsets that `visdiv mixture` found last: how much of each.",
    (
        Column("objective", "VARCHAR", "effective_rank (the same as vendi) or participation_ratio, uncentred."),
        Column("budget", "BIGINT", "Rows of the mixture; NULL: shares alone."),
        _SUBSET,
        Column("weight", "DOUBLE", "Share of the mixture's rows."),
        Column("rows", "BIGINT", "Rows of the subset, of the budget."),
        Column("rows_available", "BIGINT", "Rows of the subset that hold a readable picture."),
        Column("score", "DOUBLE", "What the mixture reaches."),
        Column("best_possible", "DOUBLE", "No weights within the bounds reach more: the certificate."),
        Column("score_uniform", "DOUBLE", "The score with as many rows of each subset."),
        Column("score_present", "DOUBLE", "The score with all rows that there are."),
        _MODEL_ID,
    ),
)
DIVERSITY = Table(
    "diversity",
    "How many directions a subset's pictures fill, by the eigenvalues of their embeddings' second moment.",
    (
        Column(
            "scope",
            "VARCHAR",
            "subset: every readable image position counts, repeated pictures as often as they occur (as FineVision "
            "counts); subset_unique: each picture once; subset_decontaminated, subset_deduplicated, subset_clean: "
            "without the rows that a clean copy drops as contaminated, as duplicates, for any reason; corpus and "
            "corpus_...: all subsets together; without: all but this one; growing: this one and those of earlier "
            "steps.",
        ),
        Column("subset", "VARCHAR", "The subset; NULL where the scope is the corpus."),
        Column("images", "BIGINT", "Pictures counted."),
        _MODEL_ID,
        Column("centered", "BOOLEAN", "Whether the mean was subtracted (covariance) or not (second moment)."),
        Column(
            "effective_rank",
            "DOUBLE",
            "exp of the entropy of the normalised eigenvalues; NULL below 2 pictures.",
        ),
        Column(
            "participation_ratio",
            "DOUBLE",
            "(sum of eigenvalues)^2 / sum of their squares; biased low in small subsets.",
        ),
        Column("participation_ratio_unbiased", "DOUBLE", "The same with unbiased numerator and denominator."),
        Column("vendi", "DOUBLE", "Vendi score of order 1: effective rank of the uncentred second moment."),
        Column(
            "score",
            "DOUBLE",
            "sqrt(effective_rank * participation_ratio) / dimension, as FineVision's article.",
        ),
        Column("mean_norm", "DOUBLE", "Length of the mean vector: near 1 if all pictures look alike."),
        Column(
            "too_few",
            "BOOLEAN",
            "Fewer than two pictures for each dimension: the scores are low for that alone, compare with no other set.",
        ),
        Column("step", "INTEGER", "Place in the order of scope growing, from 1; NULL elsewhere."),
    ),
)

DUPLICATE_CLUSTERS = Table(
    "duplicate_clusters",
    "One row per image position that has a copy anywhere: its cluster, and the one of each cluster that is kept.",
    (
        Column(
            "cluster_id", "VARCHAR", "image_id of the representative, to which every picture of the cluster is close."
        ),
        _SUBSET,
        _ROW,
        _IMAGE_INDEX,
        _IMAGE_ID,
        Column("keep", "BOOLEAN", "Whether this position stands for its cluster in a clean copy."),
        Column(
            "reason",
            "VARCHAR",
            "best: kept; exact_copy or near_copy: of the keeper; row_dropped: its row goes for another reason.",
        ),
        Column("component_id", "VARCHAR", "Lowest image_id of all pictures that a chain of close pairs connects."),
        Column("row_duplicate", "BOOLEAN", "Whether its row goes as a duplicate, by the rule for rows."),
        Column("keeper_subset", "VARCHAR", "Where the position that is kept lies; NULL where none is."),
        Column("keeper_row", "BIGINT", "Row of the position that is kept."),
        Column("keeper_image", "INTEGER", "Place of the kept picture in its row."),
        Column("similarity", "FLOAT", "Cosine similarity to the picture that is kept."),
    ),
)

CLUSTER_SUMMARY = Table(
    "cluster_summary",
    "One row per component and per cluster of two or more different pictures, measured from the vectors.",
    (
        Column("kind", "VARCHAR", "component (linked by chains) or cluster (all close to one representative)."),
        Column("cluster_id", "VARCHAR", "The component_id or cluster_id of duplicate_clusters."),
        Column("pictures", "BIGINT", "Different pictures in it."),
        Column("smallest_similarity", "FLOAT", "The smallest similarity of any two of its pictures."),
        Column("diameter", "FLOAT", "The largest cosine distance of any two: 1 - smallest_similarity."),
        Column("pictures_measured", "BIGINT", "On how many of its pictures the two were measured (at most 50,000)."),
    ),
)

CLUSTER_SIZES = Table(
    "cluster_sizes",
    "How components of copies grow as the threshold falls: single linkage can swallow a data set.",
    (
        _THRESHOLD,
        Column("components", "BIGINT", "Components of two or more different pictures."),
        Column("pictures", "BIGINT", "Pictures in them."),
        Column(
            "largest_component",
            "BIGINT",
            "Pictures of the largest; at least, since of each picture only the best pairs are stored.",
        ),
    ),
)

SUBSET_OVERLAP = Table(
    "subset_overlap",
    "The share of each subset's pictures that occur in each other subset.",
    (
        _SUBSET,
        Column("other_subset", "VARCHAR", "The subset in which they occur too."),
        _THRESHOLD,
        Column("images", "BIGINT", "Different readable pictures of the subset."),
        Column("images_shared", "BIGINT", "Those with the same bytes, or a similarity >= threshold, in the other."),
        Column("images_shared_exactly", "BIGINT", "Those with the same bytes in the other."),
        Column("share", "DOUBLE", "images_shared / images."),
    ),
)

CONTAMINATION_PAIRS = Table(
    "contamination_pairs",
    "One row per image position of a subset and benchmark picture that are close or copies; a benchmark picture that "
    "occurs several times stands at its first position.",
    (
        _SUBSET,
        _ROW,
        _IMAGE_INDEX,
        _IMAGE_ID,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        Column("benchmark_row", "BIGINT", "Row of the benchmark's test set, from 0."),
        Column("benchmark_image", "INTEGER", "Place of the picture in its row, from 0."),
        _SIMILARITY,
        _VERIFIED,
        _EVIDENCE,
        _NORMALISED,
        _LOW_INFORMATION,
        Column("benchmark_image_id", "VARCHAR", "image_id of the benchmark's picture."),
        Column("benchmark_positions", "BIGINT", "How often the benchmark holds that picture."),
        _MODEL_ID,
        *_VERDICT,
    ),
)

CONTAMINATION_RATES = Table(
    "contamination_rates",
    "How much of a subset is close to a benchmark, and how much of the benchmark to the subset; ALL is all benchmarks.",
    (
        _SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        Column(
            "rule",
            "VARCHAR",
            "similarity: a picture counts from the threshold on; verified: it counts if the pixels confirm it, and the "
            "threshold is NULL.",
        ),
        _THRESHOLD,
        Column("images", "BIGINT", "Readable image positions of the subset."),
        Column("images_contaminated", "BIGINT", "Those whose best match reaches the threshold."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_contaminated", "BIGINT", "Rows with a contaminated picture."),
        Column("benchmark_images", "BIGINT", "Readable image positions of the benchmark."),
        Column("benchmark_images_leaked", "BIGINT", "Those that are close to a picture of the subset."),
        Column("rate", "DOUBLE", "images_contaminated / images; NULL without images."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
)

CALIBRATION = Table(
    "calibration",
    "How much of the copies made of a subset's own pictures each rule finds, and how much of what it accepts of the "
    "subset's nearest other pictures is wrong.",
    (
        _SUBSET,
        Column("kind", "VARCHAR", "Kind of copy, such as jpeg or crop; ALL for all of them."),
        Column("strength", "VARCHAR", "mild, medium or strong; ALL for all of them."),
        Column("rule", "VARCHAR", "similarity: at or above the threshold; verified: confirmed by the pixels."),
        _THRESHOLD,
        Column("pictures", "BIGINT", "Pictures of the subset that copies were made of."),
        Column("copies", "BIGINT", "Copies made."),
        Column("copies_found", "BIGINT", "Those that the rule finds."),
        Column("recall", "DOUBLE", "copies_found / copies; NULL without copies."),
        Column("recall_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the recall."),
        Column("recall_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the recall."),
        Column("other_pairs", "BIGINT", "Pairs of those pictures and their nearest others; NULL but for ALL, ALL."),
        Column("other_pairs_accepted", "BIGINT", "Those that the rule accepts."),
        Column("false_positives", "BIGINT", "Accepted pairs that are not copies, as far as their pixels tell."),
        Column("precision", "DOUBLE", "Share of the accepted pairs that are copies; NULL if none is accepted."),
        Column("precision_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the precision."),
        Column("precision_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the precision."),
    ),
)

DROPPED_ROWS = Table(
    "dropped_rows",
    "One row per row that a clean copy leaves out: why, and the picture that is the reason.",
    (
        _SUBSET,
        _ROW,
        Column("reason", "VARCHAR", "unreadable, quality, contaminated, selection or duplicate: the first one."),
        Column("detail", "VARCHAR", "More about the reason."),
        Column("witness_kind", "VARCHAR", "subset or benchmark: where the witness lies; NULL where there is none."),
        Column("witness", "VARCHAR", "Subset or benchmark of the picture that made the row redundant or contaminated."),
        Column("witness_row", "BIGINT", "Row of the witness."),
        Column("witness_image", "INTEGER", "Place of the witness in its row."),
        Column("similarity", "FLOAT", "Cosine similarity to the witness."),
        Column("image_index", "INTEGER", "Place in the dropped row of the picture that it is about."),
    ),
)

PROVENANCE = Table(
    "provenance",
    "Where each partition of each table of the lake came from.",
    (
        Column("table_name", "VARCHAR", "Table of the lake, named as the asset that makes it."),
        _SUBSET,
        _MODEL_ID,
        Column("source_revision", "VARCHAR", "Version of the subset's rows that it was made from."),
        Column("settings", "VARCHAR", "Settings that its content depends on, as JSON."),
        Column("code_version", "VARCHAR", "Version of the code that made it."),
        Column("run_id", "VARCHAR", "Dagster run that wrote it."),
        _MATERIALIZED_AT,
    ),
)

TABLES = (
    SUBSETS,
    IMAGES,
    QUALITY,
    DUPLICATE_PAIRS,
    DUPLICATE_CLUSTERS,
    CLUSTER_SUMMARY,
    CLUSTER_SIZES,
    SUBSET_OVERLAP,
    CONTAMINATION_PAIRS,
    CONTAMINATION_RATES,
    TEXT_OVERLAPS,
    TEXT_CONTAMINATION_RATES,
    CALIBRATION,
    DIVERSITY,
    DIVERSITY_PUBLISHED,
    MIXTURE_WEIGHTS,
    DROPPED_ROWS,
    ALIGNMENT,
    ALIGNMENT_SUMMARY,
    CLIP_PAIRS,
    SELECTION_SCORES,
    MAP_POINTS,
    PROVENANCE,
)
VIEWS = (DUPLICATE_PAIR_POSITIONS,)

DUPLICATE_PAIR_POSITIONS_STATEMENT = """
CREATE VIEW duplicate_pair_positions AS
WITH near AS (
    SELECT
        x.subset AS x_subset, x."row" AS x_row, x.image_index AS x_image,
        y.subset AS y_subset, y."row" AS y_row, y.image_index AS y_image,
        p.similarity, p.verified,
        (x.subset, x."row", x.image_index) < (y.subset, y."row", y.image_index) AS in_order
    FROM (
        -- Pictures of two subsets that different models embedded may be a pair of each.
        SELECT image_id_a, image_id_b, max(similarity) AS similarity, bool_or(verified) AS verified
        FROM duplicate_pairs GROUP BY image_id_a, image_id_b
    ) p
    JOIN images x ON x.image_id = p.image_id_a
    JOIN images y ON y.image_id = p.image_id_b
)
SELECT
    a.subset AS subset_a, a."row" AS row_a, a.image_index AS image_a,
    b.subset AS subset_b, b."row" AS row_b, b.image_index AS image_b,
    1::FLOAT AS similarity, 'exact' AS kind, true AS verified
FROM images a
JOIN images b
    ON a.image_id = b.image_id
    AND (a.subset, a."row", a.image_index) < (b.subset, b."row", b.image_index)
WHERE a.status = 'ok'
UNION ALL
SELECT
    CASE WHEN in_order THEN x_subset ELSE y_subset END,
    CASE WHEN in_order THEN x_row ELSE y_row END,
    CASE WHEN in_order THEN x_image ELSE y_image END,
    CASE WHEN in_order THEN y_subset ELSE x_subset END,
    CASE WHEN in_order THEN y_row ELSE x_row END,
    CASE WHEN in_order THEN y_image ELSE x_image END,
    similarity, 'near', verified
FROM near
"""
