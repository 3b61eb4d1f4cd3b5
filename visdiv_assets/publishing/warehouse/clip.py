"""The warehouse's tables of what is made of CLIP vectors, and of maps; empty where there are no CLIP weights."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import ROW, SUBSET, Column, Table

ALIGNMENT = Table(
    "alignment",
    "One row per row of a subset: how well its texts fit its images, by CLIP. NULL where there is no readable "
    "image or no text.",
    (
        SUBSET,
        ROW,
        Column("turns", "INTEGER", "Turns of the row."),
        Column("turns_scored", "INTEGER", "Turns with a text, in a row with a readable image."),
        Column("turns_truncated", "INTEGER", "Turns whose text is longer than CLIP reads, and was cut."),
        Column("images", "INTEGER", "Readable images of the row."),
        Column("cosine_min", "FLOAT", "Of each scored turn the cosine to the image that fits best: the smallest."),
        Column("cosine_mean", "FLOAT", "The mean of the same over the scored turns."),
        Column("clip_score_min", "FLOAT", "CLIPScore, 2.5 * max(cosine, 0), of cosine_min."),
        Column("clip_score_mean", "FLOAT", "Mean CLIPScore over the scored turns."),
    ),
)

ALIGNMENT_SUMMARY = Table(
    "alignment_summary",
    "How the texts of a subset fit its images as a whole: quantiles, and what named thresholds would keep.",
    (
        SUBSET,
        Column(
            "unit",
            "VARCHAR",
            "turn (with the image that fits best), row (mean of its turns), or text (for truncated).",
        ),
        Column("measure", "VARCHAR", "quantile, filter or truncated."),
        Column(
            "name",
            "VARCHAR",
            "p01 to p99: the quantile; laion_5b, laion_400m, datacomp_top_30: the filter; truncated: texts that are "
            "longer than CLIP reads.",
        ),
        Column("cosine", "DOUBLE", "The quantile's value or the filter's threshold, as cosine similarity."),
        Column("clip_score", "DOUBLE", "The same as CLIPScore, 2.5 * max(cosine, 0)."),
        Column("reached", "BIGINT", "How many reach it; for truncated: texts that were cut."),
        Column("scored", "BIGINT", "How many have a similarity; for truncated: turns with a text."),
        Column("share", "DOUBLE", "reached / scored; NULL if there are none."),
        Column("remark", "VARCHAR", "What to bear in mind: fixed thresholds were made for alt-text of web pages."),
    ),
)

CLIP_PAIRS = Table(
    "clip_pairs",
    "Pairs of different images of a subset that are close to CLIP, each once, with their SSCD similarity: alike in "
    "what they show, copies or not.",
    (
        SUBSET,
        Column("image_id_a", "VARCHAR", "The image with the lower image_id."),
        Column("image_id_b", "VARCHAR", "The image with the higher image_id."),
        Column("clip_similarity", "FLOAT", "Cosine similarity of the CLIP embeddings."),
        Column("sscd_similarity", "FLOAT", "Cosine similarity of the SSCD embeddings; NULL if one has none."),
        Column("clip_model_id", "VARCHAR", "Model, weights and preprocessing of the CLIP embeddings."),
        Column("sscd_model_id", "VARCHAR", "Model, weights and preprocessing of the SSCD embeddings."),
    ),
)

SELECTION_SCORES = Table(
    "selection_scores",
    "One row per row of a subset: what published selection methods say of it, among all subsets together. Of several "
    "images of a row the lowest score counts; NULL where a method has nothing to go by.",
    (
        SUBSET,
        ROW,
        Column("semdedup", "FLOAT", "Similarity to an earlier image of its cluster; low ones are kept (SemDeDup)."),
        Column("conformity", "FLOAT", "Mean cosine to all other images; low ones, which are rare, are kept."),
        Column("whitened_clip", "FLOAT", "Log-likelihood of the image; low: an outlier. High ones are kept."),
        Column("clip_score", "FLOAT", "Mean CLIPScore of the row's turns; high ones are kept."),
    ),
)

MAP_POINTS = Table(
    "map_points",
    "One row per image or text on a subset's maps (UMAP): points that are near each other are alike; distances "
    "across a map mean little.",
    (
        SUBSET,
        Column("kind", "VARCHAR", "The vectors that the map was made of: sscd, clip_image or clip_text."),
        Column("id", "VARCHAR", "image_id or text_id of the point."),
        Column("row", "BIGINT", "First row with it."),
        Column("image_index", "INTEGER", "Place of the image in that row; NULL for a text."),
        Column("x", "FLOAT", "Place on the map, without unit."),
        Column("y", "FLOAT", "Place on the map, without unit."),
        Column("cluster", "INTEGER", "Number of its cluster on this map; -1 for none."),
        Column("cluster_name", "VARCHAR", "Words that are more frequent in the cluster's texts than in the others'."),
    ),
)
