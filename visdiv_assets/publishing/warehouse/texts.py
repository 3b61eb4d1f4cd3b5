"""The warehouse's tables of benchmarks' texts that stand in subsets' questions and answers."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import ROW, SUBSET, Column, Table

_SIZE = Column("size", "INTEGER", "Words of the runs: 8 or 13; 0 for a whole text of 5 to 12 words.")

TEXT_OVERLAPS = Table(
    "text_overlaps",
    "One row per text of a subset and benchmark that have runs of words in common; runs that more than 10 of a "
    "benchmark's texts share do not count.",
    (
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Turn of the row, from 0."),
        Column("side", "VARCHAR", "user or assistant."),
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        _SIZE,
        Column("runs", "INTEGER", "Runs of that many words in the text."),
        Column("runs_found", "INTEGER", "Those that the benchmark has."),
        Column("share", "FLOAT", "runs_found / runs."),
        Column("longest", "INTEGER", "Words of the longest stretch that runs found cover without a gap."),
    ),
)

TEXT_CONTAMINATION_RATES = Table(
    "text_contamination_rates",
    "How many rows of a subset have texts of a benchmark in their questions or answers; ALL is all benchmarks.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        _SIZE,
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_found", "BIGINT", "Those with at least one run found."),
        Column("rows_half_found", "BIGINT", "Those with a text half of whose runs were found."),
        Column("rate", "DOUBLE", "rows_found / rows; NULL if there are no rows."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
)
