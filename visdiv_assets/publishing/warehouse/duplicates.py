"""The warehouse's tables of copies within and between subsets."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import (
    EVIDENCE,
    IMAGE_ID,
    IMAGE_INDEX,
    LOW_INFORMATION,
    MODEL_ID,
    NORMALIZED,
    ROW,
    SIMILARITY,
    SUBSET,
    THRESHOLD,
    VERDICT,
    VERIFIED,
    Column,
    Table,
)

DUPLICATE_PAIRS = Table(
    "duplicate_pairs",
    "Pairs of different images that are close, or that the pixels confirm to be copies, each once; byte-equal copies "
    "share an image_id and are no pair.",
    (
        Column("image_id_a", "VARCHAR", "The image with the lower image_id."),
        Column("image_id_b", "VARCHAR", "The image with the higher image_id."),
        SIMILARITY,
        MODEL_ID,
        VERIFIED,
        EVIDENCE,
        NORMALIZED,
        LOW_INFORMATION,
        *VERDICT,
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
        Column("image_a", "INTEGER", "Place of the first image in its row."),
        Column("subset_b", "VARCHAR", "Subset of the second position."),
        Column("row_b", "BIGINT", "Row of the second position."),
        Column("image_b", "INTEGER", "Place of the second image in its row."),
        Column("similarity", "FLOAT", "Cosine similarity of the embeddings; 1 for exact copies."),
        Column("kind", "VARCHAR", "exact: the same bytes; near: other bytes, but close, or confirmed by the pixels."),
        Column("verified", "BOOLEAN", "Whether the pixels confirm the pair; true for exact; NULL: not looked at."),
    ),
)

DUPLICATE_CLUSTERS = Table(
    "duplicate_clusters",
    "One row per image position that has a copy anywhere: its cluster, and the one of each cluster that is kept.",
    (
        Column(
            "cluster_id", "VARCHAR", "image_id of the representative, to which every image of the cluster is close."
        ),
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("keep", "BOOLEAN", "Whether this position stands for its cluster in a clean copy."),
        Column(
            "reason",
            "VARCHAR",
            "best: kept; exact_copy or near_copy: of the keeper; row_dropped: its row goes for another reason.",
        ),
        Column("component_id", "VARCHAR", "Lowest image_id of all images that a chain of close pairs connects."),
        Column("row_duplicate", "BOOLEAN", "Whether its row goes as a duplicate, by the rule for rows."),
        Column("keeper_subset", "VARCHAR", "Where the position that is kept lies; NULL where none is."),
        Column("keeper_row", "BIGINT", "Row of the position that is kept."),
        Column("keeper_image", "INTEGER", "Place of the kept image in its row."),
        Column("similarity", "FLOAT", "Cosine similarity to the image that is kept."),
    ),
)

CLUSTER_SUMMARY = Table(
    "cluster_summary",
    "One row per component and per cluster of two or more different images, measured from the vectors.",
    (
        Column("kind", "VARCHAR", "component (linked by chains) or cluster (all close to one representative)."),
        Column("cluster_id", "VARCHAR", "The component_id or cluster_id of duplicate_clusters."),
        Column("images", "BIGINT", "Different images in it."),
        Column("smallest_similarity", "FLOAT", "The smallest similarity of any two of its images."),
        Column("diameter", "FLOAT", "The largest cosine distance of any two: 1 - smallest_similarity."),
        Column("images_measured", "BIGINT", "On how many of its images the two were measured (at most 50,000)."),
    ),
)

CLUSTER_SIZES = Table(
    "cluster_sizes",
    "How components of copies grow as the threshold falls: single linkage can swallow a data set.",
    (
        THRESHOLD,
        Column("components", "BIGINT", "Components of two or more different images."),
        Column("images", "BIGINT", "Images in them."),
        Column(
            "largest_component",
            "BIGINT",
            "Images of the largest; at least, since of each image only the best pairs are stored.",
        ),
    ),
)

SUBSET_OVERLAP = Table(
    "subset_overlap",
    "The share of each subset's images that occur in each other subset.",
    (
        SUBSET,
        Column("other_subset", "VARCHAR", "The subset in which they occur too."),
        THRESHOLD,
        Column("images", "BIGINT", "Different readable images of the subset."),
        Column("images_shared", "BIGINT", "Those with the same bytes, or a similarity >= threshold, in the other."),
        Column("images_shared_exactly", "BIGINT", "Those with the same bytes in the other."),
        Column("share", "DOUBLE", "images_shared / images."),
    ),
)

DUPLICATE_PAIR_POSITIONS_STATEMENT = """
CREATE VIEW duplicate_pair_positions AS
WITH near AS (
    SELECT
        x.subset AS x_subset, x."row" AS x_row, x.image_index AS x_image,
        y.subset AS y_subset, y."row" AS y_row, y.image_index AS y_image,
        p.similarity, p.verified,
        (x.subset, x."row", x.image_index) < (y.subset, y."row", y.image_index) AS in_order
    FROM (
        -- Images of two subsets that different models embedded may be a pair of each.
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
