"""Tables of benchmark texts that occur in the questions and answers of subsets."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import ROW, SUBSET, Column, Table, enum

_NGRAM_SIZE = Column(
    "ngram_size",
    "INTEGER",
    "Words of an n-gram: 8 or 13; 0 for a match of a whole text of 5 to 12 words.",
    stored="size",
)

TEXT_OVERLAPS = Table(
    "text_overlaps",
    "One row per text of a subset, benchmark and ngram_size that have n-grams in common. n-grams that more than 10 "
    "texts of a benchmark share do not count.",
    (
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0."),
        Column("side", enum("user", "assistant"), "Which text of the turn: user (question) or assistant (answer)."),
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        _NGRAM_SIZE,
        Column("ngrams", "INTEGER", "n-grams of the text.", stored="runs"),
        Column("ngrams_matched", "INTEGER", "n-grams of the text that occur in the benchmark.", stored="runs_found"),
        Column("share", "FLOAT", "ngrams_matched / ngrams."),
        Column(
            "longest_match",
            "INTEGER",
            "Words of the longest passage that matched n-grams cover without a gap.",
            stored="longest",
        ),
    ),
)

TEXT_CONTAMINATION_RATES = Table(
    "text_contamination_rates",
    "One row per subset, benchmark and ngram_size: how many rows have texts of the benchmark in their questions or "
    "answers. The benchmark ALL is all benchmarks together.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        _NGRAM_SIZE,
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_matched", "BIGINT", "Rows with at least one matched n-gram.", stored="rows_found"),
        Column(
            "rows_half_matched",
            "BIGINT",
            "Rows with a text of which at least half of the n-grams are matched.",
            stored="rows_half_found",
        ),
        Column("rate", "DOUBLE", "rows_matched / rows; NULL if the subset has no rows."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
)
