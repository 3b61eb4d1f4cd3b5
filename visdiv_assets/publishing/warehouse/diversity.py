"""The warehouse's tables of how diverse subsets, and mixtures of them, are."""

from __future__ import annotations

from visdiv_assets.diversity.rarefaction import SCORES as RAREFIED_SCORES
from visdiv_assets.publishing.warehouse.columns import MODEL_ID, SUBSET, Column, Table

DIVERSITY = Table(
    "diversity",
    "How many directions a subset's images fill, by the eigenvalues of their embeddings' second moment.",
    (
        Column(
            "scope",
            "VARCHAR",
            "subset: every readable image position counts, repeated images as often as they occur (as FineVision "
            "counts); subset_unique: each image once; subset_decontaminated, subset_deduplicated, subset_clean: "
            "without the rows that a clean copy drops as contaminated, as duplicates, for any reason; corpus and "
            "corpus_...: all subsets together; without: all but this one; growing: this one and those of earlier "
            "steps.",
        ),
        Column("subset", "VARCHAR", "The subset; NULL where the scope is the corpus."),
        Column("images", "BIGINT", "Images counted."),
        MODEL_ID,
        Column("centered", "BOOLEAN", "Whether the mean was subtracted (covariance) or not (second moment)."),
        Column(
            "effective_rank",
            "DOUBLE",
            "exp of the entropy of the normalized eigenvalues; NULL below 2 images.",
        ),
        Column(
            "participation_ratio",
            "DOUBLE",
            "(sum of eigenvalues)^2 / sum of their squares; biased low in small subsets.",
        ),
        Column("participation_ratio_unbiased", "DOUBLE", "The same with unbiased numerator and denominator."),
        Column("vendi", "DOUBLE", "Vendi score of order 1: effective rank of the uncentered second moment."),
        Column(
            "score",
            "DOUBLE",
            "sqrt(effective_rank * participation_ratio) / dimension, as FineVision's article.",
        ),
        Column("mean_norm", "DOUBLE", "Length of the mean vector: near 1 if all images look alike."),
        Column(
            "too_few",
            "BOOLEAN",
            "Fewer than two images for each dimension: the scores are low for that alone, compare with no other set.",
        ),
        Column("step", "INTEGER", "Place in the order of scope growing, from 1; NULL elsewhere."),
    ),
)

DIVERSITY_PUBLISHED = Table(
    "diversity_published",
    "The diversity of four data sets as FineVision's authors published it; compare with scope corpus, centered.",
    (
        Column("dataset", "VARCHAR", "The data set."),
        Column("images", "BIGINT", "Images, rounded to 0.1 million."),
        Column("effective_rank", "DOUBLE", "arXiv 2510.17269, table 1; of the covariance, it is assumed."),
        Column("participation_ratio", "DOUBLE", "Likewise."),
        Column("score", "DOUBLE", "sqrt(effective_rank * participation_ratio) / 512, as published."),
    ),
)

MIXTURE_WEIGHTS = Table(
    "mixture_weights",
    "The most diverse mixture of subsets that `visdiv mixture` found last: how much of each.",
    (
        Column("objective", "VARCHAR", "effective_rank (the same as vendi) or participation_ratio, uncentered."),
        Column("budget", "BIGINT", "Rows of the mixture; NULL: shares alone."),
        SUBSET,
        Column("weight", "DOUBLE", "Share of the mixture's rows."),
        Column("rows", "BIGINT", "Rows of the subset, of the budget."),
        Column("rows_available", "BIGINT", "Rows of the subset that hold a readable image."),
        Column("score", "DOUBLE", "What the mixture reaches."),
        Column("best_possible", "DOUBLE", "No weights within the bounds reach more: the certificate."),
        Column("score_uniform", "DOUBLE", "The score with as many rows of each subset."),
        Column("score_present", "DOUBLE", "The score with all rows that there are."),
        MODEL_ID,
    ),
)

DIVERSITY_RAREFIED = Table(
    "diversity_rarefied",
    "Scores of equally many images of each subset, drawn again and again: what compares a small subset with a large "
    "one. Centered, every readable image position counts. A subset has the sizes for which it has enough images.",
    (
        SUBSET,
        MODEL_ID,
        Column("images", "BIGINT", "Readable image positions of the subset, from which is drawn."),
        Column("sample_size", "BIGINT", "Positions of a draw, without replacement."),
        Column("seeds", "INTEGER", "Draws; 1 where the subset has exactly as many positions."),
        *(
            column
            for name in RAREFIED_SCORES
            for column in (
                Column(f"{name}_mean", "DOUBLE", f"Mean of {name} over the draws; see the table diversity."),
                Column(f"{name}_low", "DOUBLE", "5 % quantile of the draws: the interval is theirs, not the world's."),
                Column(f"{name}_high", "DOUBLE", "95 % quantile of the draws."),
            )
        ),
        Column(
            "too_few",
            "BOOLEAN",
            "Fewer than two images a dimension in a draw: low for that alone, so compare only with the same size.",
        ),
    ),
)
