"""Tables of close pairs and copies within and between subsets."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import (
    CONFIDENCE,
    DECIDING_PAIR,
    EVIDENCE,
    EXPLANATION,
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
    VERDICT_TYPE,
    Column,
    Table,
    enum,
)

CLOSE_PAIRS = Table(
    "close_pairs",
    "One row per pair of different images that are close (similarity at or above VISDIV_SIMILARITY_FLOOR) or confirmed "
    "copies, within and between subsets. Byte-equal images share an image_id, so they are not listed here.",
    (
        Column("image_id_a", "VARCHAR", "The lower image_id of the two."),
        Column("image_id_b", "VARCHAR", "The higher image_id of the two."),
        SIMILARITY,
        MODEL_ID,
        VERDICT,
        CONFIDENCE,
        EVIDENCE,
        NORMALIZED,
        LOW_INFORMATION,
        *EXPLANATION,
    ),
)

CLOSE_PAIR_POSITIONS = Table(
    "close_pair_positions",
    "A view with one row per pair of image positions whose images are byte-equal, close or confirmed copies. The first "
    "position is the lower one by subset, row and image index. Filter it by verdict or similarity.",
    (
        Column("subset_a", "VARCHAR", "Subset of the first position."),
        Column("row_a", "BIGINT", "Row of the first position."),
        Column("image_index_a", "INTEGER", "Index of the first image in its row, from 0."),
        Column("subset_b", "VARCHAR", "Subset of the second position."),
        Column("row_b", "BIGINT", "Row of the second position."),
        Column("image_index_b", "INTEGER", "Index of the second image in its row, from 0."),
        Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors; 1 for byte-equal images."),
        Column("exact", "BOOLEAN", "True if the two images are byte-equal."),
        Column(
            "verdict",
            VERDICT_TYPE,
            "As in close_pairs; confirmed for byte-equal images. NULL: not compared.",
        ),
    ),
)

DUPLICATES = Table(
    "duplicates",
    "A view with one row per pair of image positions whose images are byte-equal or confirmed copies: the rows of "
    "close_pair_positions with the verdict confirmed. Rejected and undecided pairs are not listed.",
    tuple(column for column in CLOSE_PAIR_POSITIONS.columns if column.name != "verdict"),
)

DUPLICATE_CLUSTERS = Table(
    "duplicate_clusters",
    "One row per image position that has a copy anywhere in the corpus: its cluster, and the position of the cluster "
    "that a clean copy keeps (the keeper).",
    (
        Column(
            "cluster_id",
            "VARCHAR",
            "image_id of the center of the cluster, the image of the keeper: every image of the cluster is a copy of "
            "the center itself, confirmed or (with VISDIV_COPIES_BY=similarity) by similarity.",
        ),
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("keep", "BOOLEAN", "True if this position is the keeper of its cluster."),
        Column(
            "reason",
            enum("best", "exact_copy", "near_copy", "row_dropped"),
            "best: this position is the keeper. exact_copy: byte-equal to the keeper. near_copy: a copy of the keeper "
            "with other bytes. row_dropped: its row is dropped for another reason, or the cluster has no keeper.",
        ),
        Column(
            "component_id",
            "VARCHAR",
            "Lowest image_id of the component: all images that are connected by chains of copies.",
        ),
        Column(
            "row_is_duplicate",
            "BOOLEAN",
            "True if the row is dropped as a duplicate (see VISDIV_ROW_RULE).",
            stored="row_duplicate",
        ),
        Column("keeper_subset", "VARCHAR", "Subset of the keeper; NULL if the cluster has none."),
        Column("keeper_row", "BIGINT", "Row of the keeper."),
        Column(
            "keeper_image_index", "INTEGER", "Index of the keeper's image in its row, from 0.", stored="keeper_image"
        ),
        Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors of this image and the keeper."),
        *DECIDING_PAIR,
    ),
)

CLUSTER_SUMMARY = Table(
    "cluster_summary",
    "One row per component and per cluster of two or more different images: its size, and the lowest similarity "
    "within it.",
    (
        Column(
            "grouping",
            enum("component", "cluster"),
            "component: all images that are connected by chains of copies. cluster: a center and copies of the center "
            "itself.",
            stored="kind",
        ),
        Column("group_id", "VARCHAR", "The component_id or cluster_id of duplicate_clusters.", stored="cluster_id"),
        Column("images", "BIGINT", "Number of different images."),
        Column(
            "min_similarity",
            "FLOAT",
            "Lowest similarity of any two of the measured images.",
            stored="smallest_similarity",
        ),
        Column("diameter", "FLOAT", "Largest cosine distance of any two of the measured images: 1 - min_similarity."),
        Column("images_measured", "BIGINT", "Images that were measured: all of them, up to 50,000."),
    ),
)

COMPONENT_SIZES = Table(
    "component_sizes",
    "One row per threshold: how many components there are when all pairs with at least that similarity are connected. "
    "At a low threshold a single component can hold most of a dataset.",
    (
        THRESHOLD,
        Column("components", "BIGINT", "Components of two or more different images."),
        Column("images", "BIGINT", "Images in these components."),
        Column(
            "largest_component",
            "BIGINT",
            "Images of the largest component. A lower bound, since only the best pairs of each image are stored.",
        ),
    ),
)

SUBSET_OVERLAP = Table(
    "subset_overlap",
    "One row per ordered pair of subsets and threshold: the share of the subset's images that occur in the other one.",
    (
        SUBSET,
        Column("other_subset", "VARCHAR", "The subset that is searched for the images."),
        THRESHOLD,
        Column("images", "BIGINT", "Different readable images of the subset."),
        Column(
            "images_shared",
            "BIGINT",
            "Images of the subset with a byte-equal image, or one with at least that similarity, in the other subset.",
        ),
        Column("images_shared_exactly", "BIGINT", "Images of the subset with a byte-equal image in the other subset."),
        Column("share", "DOUBLE", "images_shared / images."),
    ),
)

CLOSE_PAIR_POSITIONS_STATEMENT = f"""
CREATE VIEW close_pair_positions AS
WITH close AS (
    SELECT
        x.subset AS x_subset, x."row" AS x_row, x.image_index AS x_image,
        y.subset AS y_subset, y."row" AS y_row, y.image_index AS y_image,
        p.similarity, p.verdict,
        (x.subset, x."row", x.image_index) < (y.subset, y."row", y.image_index) AS in_order
    FROM (
        -- Images of two subsets that different models embedded may be a pair of each. Of several verdicts, the first in
        -- the order of the type counts.
        SELECT image_id_a, image_id_b, max(similarity) AS similarity, min(verdict) AS verdict
        FROM close_pairs GROUP BY image_id_a, image_id_b
    ) p
    JOIN images x ON x.image_id = p.image_id_a
    JOIN images y ON y.image_id = p.image_id_b
)
SELECT
    a.subset AS subset_a, a."row" AS row_a, a.image_index AS image_index_a,
    b.subset AS subset_b, b."row" AS row_b, b.image_index AS image_index_b,
    1::FLOAT AS similarity, true AS exact, 'confirmed'::{VERDICT_TYPE} AS verdict
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
    similarity, false, verdict
FROM close
"""

DUPLICATES_STATEMENT = f"""
CREATE VIEW duplicates AS
SELECT {", ".join(column.name for column in DUPLICATES.columns)}
FROM close_pair_positions WHERE verdict = 'confirmed'
"""
