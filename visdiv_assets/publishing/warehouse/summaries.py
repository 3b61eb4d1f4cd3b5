"""Views with one row per subset or per benchmark, for what a person asks first, and the table of benchmarks."""

from __future__ import annotations

from visdiv_assets.curation.reasons import DROP_REASONS
from visdiv_assets.publishing.warehouse.columns import MATERIALIZED_AT, MODEL_ID, SUBSET, Column, Table, View

#: Subsets that `top_subsets` names.
TOP = 3

SUBSET_SUMMARY = View(
    "subset_summary",
    "A view with one row per subset: its size, the rows that a clean copy keeps and why the others are dropped, its "
    "copies, what of it is in benchmarks, and its diversity. A number that was not computed is NULL.",
    (
        SUBSET,
        Column("category", "VARCHAR", "Category in FineVision's taxonomy; NULL for subsets that are not in it."),
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_clean", "BIGINT", "Rows that a clean copy keeps."),
        Column("kept_share", "DOUBLE", "rows_clean / rows; NULL if the subset has no rows."),
        *(
            Column(
                f"dropped_{reason}",
                "BIGINT",
                f"Rows that a clean copy drops as {reason}. A row counts for the first reason that applies.",
            )
            for reason in DROP_REASONS
        ),
        Column("images", "BIGINT", "Image positions, unreadable ones included."),
        Column("images_unique", "BIGINT", "Different readable images, by their bytes."),
        Column("images_unreadable", "BIGINT", "Image positions that cannot be decoded."),
        Column(
            "images_duplicate",
            "BIGINT",
            "Image positions that are copies, byte-equal or confirmed, of an image that a clean copy keeps elsewhere "
            "in the corpus.",
        ),
        Column("images_contaminated", "BIGINT", "Image positions that are confirmed copies of a benchmark image."),
        Column("contamination_rate", "DOUBLE", "images_contaminated / readable image positions."),
        Column(
            "diversity",
            "DOUBLE",
            "Diversity score of all readable image positions, centered, as in FineVision's article: the score of the "
            "table diversity. Compare subsets of different sizes by diversity_rarefied.",
        ),
        Column("diversity_too_few", "BOOLEAN", "True if there are too few images for a comparable diversity."),
        MODEL_ID,
        MATERIALIZED_AT,
    ),
    query=f"""
    WITH decided AS (
        SELECT subset, count(*) FILTER (WHERE kept) AS rows_clean,
            {", ".join(f"count(*) FILTER (WHERE reason = '{reason}') AS dropped_{reason}" for reason in DROP_REASONS)}
        FROM rows WHERE kept IS NOT NULL GROUP BY subset
    ), copies AS (
        SELECT subset, count(*) AS images_duplicate
        FROM duplicate_clusters WHERE reason IN ('exact_copy', 'near_copy') GROUP BY subset
    )
    SELECT s.*, d.* EXCLUDE (subset), d.rows_clean / nullif(s."rows", 0) AS kept_share,
        -- Rows are decided from the copies, so these are known if the rows are decided.
        CASE WHEN d.subset IS NOT NULL THEN coalesce(c.images_duplicate, 0) END AS images_duplicate,
        t.images_contaminated, t.rate AS contamination_rate, v.score AS diversity, v.too_few AS diversity_too_few
    FROM subsets s
    LEFT JOIN decided d USING (subset)
    LEFT JOIN copies c USING (subset)
    LEFT JOIN contamination_total t USING (subset)
    LEFT JOIN (FROM diversity WHERE scope = 'subset' AND centered) v USING (subset)
    """,
)

_BENCHMARK = Column("benchmark", "VARCHAR", "Name of the benchmark.")
_SIZE = (
    Column("rows", "BIGINT", "Rows of the benchmark."),
    Column("images", "BIGINT", "Image positions, unreadable ones included."),
    Column("images_unique", "BIGINT", "Different readable images, by their bytes."),
    Column("images_unreadable", "BIGINT", "Image positions that cannot be decoded."),
)

BENCHMARKS = Table(
    "benchmarks",
    "One row per benchmark: how many rows and images it has.",
    (
        _BENCHMARK,
        *_SIZE,
        Column("source_revision", "VARCHAR", "Version of the benchmark's rows: a digest of its files."),
        MATERIALIZED_AT,
    ),
    key=("benchmark",),
)

BENCHMARK_SUMMARY = View(
    "benchmark_summary",
    "A view with one row per benchmark: its size, how many of its images have a confirmed copy in the training data, "
    "and the subsets that hold most of them.",
    (
        _BENCHMARK,
        *_SIZE,
        Column(
            "images_leaked",
            "BIGINT",
            "Image positions with a confirmed copy in any subset. NULL if no subset was compared with the benchmark.",
        ),
        Column("leaked_share", "DOUBLE", "images_leaked / readable image positions."),
        Column("subsets_leaking", "BIGINT", "Subsets that hold a copy of an image of the benchmark."),
        Column("top_subset", "VARCHAR", "The subset that holds copies of most of its images; NULL if none does."),
        Column("top_subset_images_leaked", "BIGINT", "Image positions of the benchmark with a copy in that subset."),
        Column(
            "top_subsets",
            "VARCHAR",
            f"The {TOP} subsets that hold copies of most of its images, with the number of these: name (12), name (3).",
        ),
    ),
    query=f"""
    WITH leaks AS (
        SELECT DISTINCT benchmark, subset, benchmark_image_id, benchmark_positions
        FROM contamination_pairs WHERE verdict = 'confirmed'
    ), leaked AS (
        SELECT benchmark, sum(benchmark_positions)::BIGINT AS images_leaked
        FROM (SELECT DISTINCT benchmark, benchmark_image_id, benchmark_positions FROM leaks) GROUP BY benchmark
    ), by_subset AS (
        SELECT benchmark, subset, sum(benchmark_positions)::BIGINT AS n,
            row_number() OVER (PARTITION BY benchmark ORDER BY sum(benchmark_positions) DESC, subset) AS place
        FROM leaks GROUP BY benchmark, subset
    ), top AS (
        SELECT benchmark, count(*) AS subsets_leaking, min(subset) FILTER (WHERE place = 1) AS top_subset,
            max(n) AS top_subset_images_leaked,
            string_agg(printf('%s (%d)', subset, n), ', ' ORDER BY place) FILTER (WHERE place <= {TOP}) AS top_subsets
        FROM by_subset GROUP BY benchmark
    ), compared AS (
        SELECT benchmark, coalesce(images_leaked, 0) AS images_leaked, coalesce(subsets_leaking, 0) AS subsets_leaking,
            top_subset, top_subset_images_leaked, top_subsets
        FROM (SELECT DISTINCT benchmark FROM contamination)
        LEFT JOIN leaked USING (benchmark) LEFT JOIN top USING (benchmark)
    )
    SELECT b.*, c.images_leaked, c.images_leaked / nullif(b.images - b.images_unreadable, 0) AS leaked_share,
        c.subsets_leaking, c.top_subset, c.top_subset_images_leaked, c.top_subsets
    FROM benchmarks b LEFT JOIN compared c USING (benchmark)
    """,
)
