"""Tables of the diversity of subsets, and of mixtures of them."""

from __future__ import annotations

from visdiv_assets.diversity.rarefaction import SCORES as RAREFIED_SCORES
from visdiv_assets.publishing.warehouse.columns import MODEL_ID, OF_SUBSET, SUBSET, Column, Table, enum

SCOPE_TYPE = enum(
    "subset",
    "subset_unique",
    "subset_decontaminated",
    "subset_deduplicated",
    "subset_clean",
    "corpus",
    "corpus_decontaminated",
    "corpus_deduplicated",
    "corpus_clean",
    "without",
    "growing",
)

DIVERSITY = Table(
    "diversity",
    "One row per set of images, centered or not: diversity scores from the eigenvalues of the second moment of their "
    "SSCD vectors.",
    (
        Column(
            "scope",
            SCOPE_TYPE,
            "The set of images. subset: all readable image positions of a subset, repeated images included (as "
            "FineVision counts). subset_unique: each different image once. subset_decontaminated, "
            "subset_deduplicated, subset_clean: without the rows that a clean copy drops as contaminated, as "
            "duplicates, or for any reason. corpus, corpus_decontaminated, corpus_deduplicated, corpus_clean: the same "
            "of all subsets together. without: all subsets but this one. growing: this subset and those of the "
            "earlier steps.",
        ),
        Column("subset", "VARCHAR", "Name of the subset; NULL if the scope is the corpus."),
        Column("images", "BIGINT", "Number of images in the set."),
        MODEL_ID,
        Column("centered", "BOOLEAN", "True if the mean was subtracted (covariance), false if not (second moment)."),
        Column(
            "effective_rank",
            "DOUBLE",
            "exp of the entropy of the normalized eigenvalues; NULL for fewer than 2 images.",
        ),
        Column(
            "participation_ratio",
            "DOUBLE",
            "(sum of the eigenvalues)^2 / sum of their squares. It is biased low for small sets.",
        ),
        Column(
            "participation_ratio_unbiased",
            "DOUBLE",
            "The participation ratio with unbiased estimates of numerator and denominator.",
        ),
        Column("vendi", "DOUBLE", "Vendi score of order 1: the effective rank of the uncentered second moment."),
        Column(
            "score",
            "DOUBLE",
            "sqrt(effective_rank * participation_ratio) / dimension, as in FineVision's article.",
        ),
        Column("mean_norm", "DOUBLE", "Length of the mean vector; close to 1 if all images look alike."),
        Column(
            "too_few",
            "BOOLEAN",
            "True if there are fewer than two images per dimension. The scores are low for this reason and cannot be "
            "compared with those of other sets.",
        ),
        Column("step", "INTEGER", "Position of the subset in the order of the scope growing, from 1; NULL elsewhere."),
    ),
)

DIVERSITY_PUBLISHED = Table(
    "diversity_published",
    "One row per dataset whose diversity others published: FineVision's authors, and the README of "
    "visual-diversity-evaluation. Compare with the scope corpus, centered, of the table diversity, and only sets of "
    "similar kinds and sizes: few images have a low score for that reason alone (see diversity_rarefied), and "
    "photographs a higher one than charts and documents.",
    (
        Column("dataset", "VARCHAR", "Name of the dataset."),
        Column("images", "BIGINT", "Number of images; those of FineVision's authors are rounded to 0.1 million."),
        Column(
            "effective_rank",
            "DOUBLE",
            "Effective rank as published (arXiv 2510.17269, table 1), presumably of the covariance; NULL if only the "
            "score was published.",
        ),
        Column(
            "participation_ratio",
            "DOUBLE",
            "Participation ratio as published (arXiv 2510.17269, table 1), presumably of the covariance; NULL if only "
            "the score was published.",
        ),
        Column("score", "DOUBLE", "sqrt(effective_rank * participation_ratio) / 512, as published."),
        Column(
            "rating",
            enum("Very Low", "Low", "Normal", "Good", "Very Good"),
            "The word that visual-diversity-evaluation has for the score, as its README gives it; it is theirs, does "
            "not consider the number of images, and is no measure of quality.",
        ),
        Column(
            "published_by",
            enum("finevision", "visual_diversity_evaluation"),
            "Who measured: finevision (arXiv 2510.17269 and its article) or visual_diversity_evaluation (README of "
            "github.com/neverabandon80/visual-diversity-evaluation).",
        ),
    ),
)

MIXTURE_WEIGHTS = Table(
    "mixture_weights",
    "One row per subset: its share of the most diverse mixture that the last run of `visdiv mixture` found.",
    (
        Column(
            "objective",
            enum("effective_rank", "participation_ratio", "vendi"),
            "The score that is maximized, uncentered: effective_rank (equal to vendi) or participation_ratio.",
        ),
        Column("budget", "BIGINT", "Rows of the mixture; NULL if no budget was given."),
        SUBSET,
        Column("weight", "DOUBLE", "Share of the mixture's rows that come from the subset."),
        Column("rows", "BIGINT", "Rows of the subset in the mixture; NULL if no budget was given."),
        Column("rows_available", "BIGINT", "Rows of the subset that hold a readable image."),
        Column("score", "DOUBLE", "Score of the mixture."),
        Column(
            "score_upper_bound",
            "DOUBLE",
            "Certified upper bound: no weights within the given limits have a higher score.",
            stored="best_possible",
        ),
        Column("score_uniform", "DOUBLE", "Score of a mixture with equally many rows of each subset."),
        Column("score_all_rows", "DOUBLE", "Score of all available rows.", stored="score_present"),
        MODEL_ID,
    ),
)

DIVERSITY_RAREFIED = Table(
    "diversity_rarefied",
    "One row per subset and sample_size: diversity scores of repeated random samples of equally many images, which "
    "make small and large subsets comparable. Centered; every readable image position counts. A subset has the sample "
    "sizes for which it has enough images.",
    (
        SUBSET,
        MODEL_ID,
        Column("images", "BIGINT", "Readable image positions of the subset, from which the samples are drawn."),
        Column("sample_size", "BIGINT", "Image positions in a sample, drawn without replacement."),
        Column(
            "samples",
            "INTEGER",
            "Number of samples drawn; 1 if the subset has exactly sample_size positions.",
            stored="seeds",
        ),
        *(
            column
            for name in RAREFIED_SCORES
            for column in (
                Column(f"{name}_mean", "DOUBLE", f"Mean of {name} over the samples; see the table diversity."),
                Column(
                    f"{name}_low",
                    "DOUBLE",
                    f"5 % quantile of {name} over the samples. It describes the spread of the samples, not the "
                    "uncertainty of the subset's own score.",
                ),
                Column(f"{name}_high", "DOUBLE", f"95 % quantile of {name} over the samples."),
            )
        ),
        Column(
            "too_few",
            "BOOLEAN",
            "True if a sample has fewer than two images per dimension. The scores are low for this reason; compare "
            "them only with those of the same sample_size.",
        ),
    ),
    references=OF_SUBSET,
)
