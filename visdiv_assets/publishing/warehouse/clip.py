"""Tables of results from CLIP vectors, and of maps. They are empty where no CLIP weights are available."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import OF_SUBSET, ROW, SUBSET, Column, Table, enum

ALIGNMENT = Table(
    "alignment",
    "One row per row of a subset: how well its texts fit its images, by CLIP. NULL if the row has no readable image or "
    "no text.",
    (
        SUBSET,
        ROW,
        Column("turns", "INTEGER", "Turns of the row."),
        Column("turns_scored", "INTEGER", "Turns that have a text, in a row with a readable image."),
        Column("turns_truncated", "INTEGER", "Turns whose text was truncated because it exceeds CLIP's context."),
        Column("images", "INTEGER", "Readable images of the row."),
        Column(
            "cosine_min",
            "FLOAT",
            "Minimum over the scored turns of the cosine similarity of a turn to the image that fits it best.",
        ),
        Column("cosine_mean", "FLOAT", "Mean of the same similarities over the scored turns."),
        Column(
            "clip_score_min",
            "FLOAT",
            "CLIPScore of cosine_min: 2.5 * max(cosine, 0). The published score has the words A photo depicts before "
            "each text; here they are those of VISDIV_CLIP_TEXT_PREFIX, by default none.",
        ),
        Column(
            "clip_score_mean", "FLOAT", "Mean CLIPScore over the scored turns; with VISDIV_CLIP_TEXT_PREFIX, as above."
        ),
    ),
)

ALIGNMENT_SUMMARY = Table(
    "alignment_summary",
    "How well the texts of a subset fit its images, one row per statistic: quantiles of the similarity, what published "
    "filters would keep, and how many texts were truncated.",
    (
        SUBSET,
        Column(
            "unit",
            enum("turn", "row", "text"),
            "What is counted. turn: a turn, with the image that fits it best. row: a row, with the mean of its turns. "
            "text: a text, where statistic is truncated.",
        ),
        Column(
            "statistic",
            enum("quantile", "filter", "truncated"),
            "quantile: a quantile of the similarity. filter: the threshold of a published filter. truncated: texts "
            "that exceed CLIP's context.",
            stored="measure",
        ),
        Column(
            "name",
            "VARCHAR",
            "Name of the quantile (p01 to p99) or of the filter (laion_5b, laion_400m, datacomp_top_30); truncated "
            "for truncated texts.",
        ),
        Column("cosine", "DOUBLE", "Value of the quantile or threshold of the filter, as cosine similarity."),
        Column("clip_score", "DOUBLE", "The same value as CLIPScore: 2.5 * max(cosine, 0)."),
        Column(
            "count_reached",
            "BIGINT",
            "Units with at least that similarity. truncated: texts that were truncated.",
            stored="reached",
        ),
        Column(
            "count_scored",
            "BIGINT",
            "Units that have a similarity. truncated: turns that have a text.",
            stored="scored",
        ),
        Column("share", "DOUBLE", "count_reached / count_scored; NULL if count_scored is 0."),
        Column(
            "remark",
            "VARCHAR",
            "A caution about the value: the published thresholds were chosen for alt-text of web pages.",
        ),
    ),
    references=OF_SUBSET,
)

CLIP_PAIRS = Table(
    "clip_pairs",
    "One row per pair of different images of a subset whose CLIP vectors are close, with their SSCD similarity. Such "
    "images have similar content; they need not be copies. Only the best pairs of each image are stored: "
    "clip_pair_summary counts the others.",
    (
        SUBSET,
        Column("image_id_a", "VARCHAR", "The lower image_id of the two."),
        Column("image_id_b", "VARCHAR", "The higher image_id of the two."),
        Column("clip_similarity", "FLOAT", "Cosine similarity of the CLIP vectors."),
        Column("sscd_similarity", "FLOAT", "Cosine similarity of the SSCD vectors; NULL if an image has none."),
        Column("clip_model_id", "VARCHAR", "Model, weights and preprocessing of the CLIP vectors."),
        Column("sscd_model_id", "VARCHAR", "Model, weights and preprocessing of the SSCD vectors."),
    ),
)

CLIP_PAIR_SUMMARY = Table(
    "clip_pair_summary",
    "One row per subset: how many pairs of its images are close by CLIP, and how many of them clip_pairs holds.",
    (
        SUBSET,
        Column("images", "BIGINT", "Different images that were compared."),
        Column("clip_floor", "FLOAT", "Minimum cosine similarity of a close pair (VISDIV_CLIP_FLOOR).", stored="floor"),
        Column(
            "kept_per_image",
            "INTEGER",
            "A pair is stored if it is among this many best of one of its images (VISDIV_CLIP_NEIGHBORS_KEPT).",
        ),
        Column("pairs", "BIGINT", "Pairs that are close."),
        Column("pairs_stored", "BIGINT", "Pairs in clip_pairs; the others were left out."),
        Column("images_in_pairs", "BIGINT", "Images that are close to another one."),
        Column("images_cut", "BIGINT", "Images that are close to more images than kept_per_image."),
    ),
    references=OF_SUBSET,
)

SELECTION_SCORES = Table(
    "selection_scores",
    "One row per row of a subset: its scores by published selection methods, computed over all subsets together. A row "
    "with several images has the lowest of their scores. NULL if the method cannot score the row.",
    (
        SUBSET,
        ROW,
        Column(
            "semdedup",
            "FLOAT",
            "Cosine similarity to the closest earlier image of its k-means cluster (SemDeDup). Low scores are kept.",
        ),
        Column("conformity", "FLOAT", "Mean cosine similarity to all other images. Low scores (rare images) are kept."),
        Column(
            "whitened_clip",
            "FLOAT",
            "Log-likelihood of the whitened CLIP vector of the image. Low scores are outliers; high scores are kept.",
        ),
        Column("clip_score", "FLOAT", "Mean CLIPScore of the turns of the row, as in alignment. High scores are kept."),
    ),
)

MAP_POINTS = Table(
    "map_points",
    "One row per image or text and layout on the maps of a subset. Points close to each other are similar; large "
    "distances on a map mean little.",
    (
        SUBSET,
        Column(
            "vectors",
            enum("sscd", "clip_image", "clip_text"),
            "The vectors that the map shows.",
            stored="kind",
        ),
        Column(
            "layout",
            enum("umap", "tsne", "pca"),
            "How the vectors are laid out: by UMAP or t-SNE, or by their first two principal components.",
        ),
        Column("id", "VARCHAR", "The image_id or text_id of the point."),
        Column("row", "BIGINT", "Index of the first row that holds it."),
        Column("image_index", "INTEGER", "Index of the image in that row; NULL for a text."),
        Column("x", "FLOAT", "Horizontal coordinate on the map, without unit."),
        Column("y", "FLOAT", "Vertical coordinate on the map, without unit."),
        Column("cluster", "INTEGER", "Index of its cluster, the same on all layouts; -1 if it is in none."),
        Column(
            "cluster_name",
            "VARCHAR",
            "Words that are more frequent in the texts of the cluster than in those of other clusters. Template "
            "questions do not count.",
        ),
    ),
)
