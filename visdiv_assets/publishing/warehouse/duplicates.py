"""Tables of close pairs and copies within and between subsets."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import (
    CONFIDENCE,
    DECIDED,
    DECIDING_PAIR,
    EVIDENCE,
    EVIDENCE_TYPE,
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
    View,
    enum,
)

CLOSE_PAIRS = Table(
    "close_pairs",
    "One row per pair of different images that are close (similarity at or above VISDIV_SIMILARITY_FLOOR), confirmed "
    "copies or decided on by a person, within and between subsets. Byte-equal images share an image_id, so they are "
    "not listed here.",
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
        *DECIDED,
    ),
)


def _side(side: str, nth: str) -> tuple[Column, ...]:
    """Return the columns of one of the two positions of a pair."""
    return (
        Column(f"subset_{side}", "VARCHAR", f"Subset of the {nth} position."),
        Column(f"row_{side}", "BIGINT", f"Row of the {nth} position."),
        Column(f"image_index_{side}", "INTEGER", f"Index of the {nth} image in its row, from 0."),
        Column(f"image_id_{side}", "VARCHAR", f"The image_id of the {nth} image."),
        Column(f"file_{side}", "VARCHAR", f"File of the source that holds the row of the {nth} position."),
        Column(f"row_in_file_{side}", "BIGINT", "Row of that file, from 0."),
        Column(f"path_{side}", "VARCHAR", f"Path of the {nth} image that the source states; NULL if it states none."),
    )


_OF_POSITION = ("subset", "row", "image_index", "image_id", "file", "row_in_file", "path")


def _positions(first: str, second: str) -> str:
    """Return SQL for the columns of both positions, from two aliases of `images`."""
    return ", ".join(
        f'{alias}."{name}" AS {name}_{side}' for alias, side in ((first, "a"), (second, "b")) for name in _OF_POSITION
    )


def _in_order(first: str, second: str) -> str:
    """Return SQL that is true if the first of two aliases of `images` is the lower position."""
    parts = (", ".join(f'{alias}."{name}"' for name in ("subset", "row", "image_index")) for alias in (first, second))
    return "({}) < ({})".format(*parts)


_EITHER = ", ".join(
    f"CASE WHEN in_order THEN {name}_{one} ELSE {name}_{other} END AS {name}_{one}"
    for one, other in (("a", "b"), ("b", "a"))
    for name in _OF_POSITION
)

CLOSE_PAIR_POSITIONS = View(
    "close_pair_positions",
    "A view with one row per pair of image positions whose images are byte-equal, close or confirmed copies. The first "
    "position is the lower one by subset, row and image index. Filter it by verdict or similarity.",
    (
        *_side("a", "first"),
        *_side("b", "second"),
        Column("similarity", "FLOAT", "Cosine similarity of the SSCD vectors; 1 for byte-equal images."),
        Column("exact", "BOOLEAN", "True if the two images are byte-equal."),
        Column(
            "verdict",
            VERDICT_TYPE,
            "As in close_pairs; confirmed for byte-equal images. NULL: not compared.",
        ),
        Column("confidence", "FLOAT", "As in close_pairs; 1 for byte-equal images."),
        Column("evidence", EVIDENCE_TYPE, "As in close_pairs; identical_pixels for byte-equal images."),
    ),
    # Images of two subsets that different models embedded may be a pair of each. Of several verdicts, the first in the
    # order of the type counts.
    query=f"""
    SELECT {_positions("a", "b")}, 1::FLOAT AS similarity, true AS exact, 'confirmed'::{VERDICT_TYPE} AS verdict,
        1::FLOAT AS confidence, 'identical_pixels'::{EVIDENCE_TYPE} AS evidence
    FROM images a JOIN images b ON a.image_id = b.image_id AND {_in_order("a", "b")}
    WHERE a.status = 'ok'
    UNION ALL
    SELECT {_EITHER}, similarity, false, verdict, confidence, evidence
    FROM (
        SELECT {_positions("a", "b")}, {_in_order("a", "b")} AS in_order,
            p.similarity, p.verdict, p.confidence, p.evidence
        FROM (
            SELECT image_id_a, image_id_b, max(similarity) AS similarity, min(verdict) AS verdict,
                arg_min(confidence, verdict) AS confidence, arg_min(evidence, verdict) AS evidence
            FROM close_pairs GROUP BY image_id_a, image_id_b
        ) p
        JOIN images a ON a.image_id = p.image_id_a
        JOIN images b ON b.image_id = p.image_id_b
    )
    """,
)

DUPLICATES = View(
    "duplicates",
    "A view with one row per pair of image positions whose images are byte-equal or confirmed copies, with their "
    "files. Pairs that verification rejected or left undecided are in close_pair_positions.",
    tuple(column for column in CLOSE_PAIR_POSITIONS.columns if column.name != "verdict"),
    query="FROM close_pair_positions WHERE verdict = 'confirmed'",
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
