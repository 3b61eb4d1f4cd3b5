"""The CLIPScore of texts with images whose own text is masked. Empty unless a run read text, and had CLIP weights."""

from __future__ import annotations

from visdiv_assets.curation.alignment.summary import FILTERS
from visdiv_assets.publishing.warehouse.columns import IMAGE_ID, IMAGE_INDEX, ROW, SUBSET, Column, Table, View

#: The threshold of cosine similarity that the summary counts by: that of LAION-5B's English part.
THRESHOLD = FILTERS["laion_5b"]

MASKED_ALIGNMENT = Table(
    "masked_alignment",
    "One row per image of image_texts that has text and turn of the row where it first occurs: how well the turn fits "
    "the image by CLIP, and how well it fits without the text in the image (T-MARS).",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("turn", "INTEGER", "Turn of the row, from 0."),
        Column(
            "cosine",
            "FLOAT",
            "Cosine similarity of the turn and the image; NULL if the turn has no text, or the image no vector.",
        ),
        Column(
            "cosine_masked",
            "FLOAT",
            "The same with the boxes of text in the image painted over with the average color around them; NULL if it "
            "was not computed.",
        ),
        Column("clip_score", "FLOAT", "CLIPScore of cosine: 2.5 * max(cosine, 0)."),
        Column("clip_score_masked", "FLOAT", "CLIPScore of cosine_masked."),
    ),
)

MASKED_ALIGNMENT_SUMMARY = View(
    "masked_alignment_summary",
    "A view with one row per subset with images with text: how much lower their CLIPScore is without that text. Turns "
    "that have both scores are counted.",
    (
        SUBSET,
        Column("images", "BIGINT", "Images with text, whose text was masked."),
        Column("turns", "BIGINT", "Turns beside them; a turn of several such images counts for each."),
        Column("clip_score", "DOUBLE", "Median CLIPScore with the images as they are."),
        Column("clip_score_masked", "DOUBLE", "Median CLIPScore with the text of the images masked."),
        Column("median_fall", "DOUBLE", "Median of clip_score - clip_score_masked of a turn."),
        Column("threshold", "DOUBLE", "The minimum cosine similarity by which LAION-5B filtered alt-text, 0.28."),
        Column("share_below", "DOUBLE", "Share of the turns below the threshold with the images as they are."),
        Column("share_below_masked", "DOUBLE", "Share of the turns below the threshold with the text masked."),
        Column("share_fallen", "DOUBLE", "Share of the turns that are below the threshold only with the text masked."),
    ),
    query=f"""
    SELECT subset, count(DISTINCT image_id) AS images, count(*) AS turns, median(clip_score)::DOUBLE AS clip_score,
        median(clip_score_masked)::DOUBLE AS clip_score_masked,
        median(clip_score - clip_score_masked)::DOUBLE AS median_fall, {THRESHOLD}::DOUBLE AS threshold,
        avg((cosine < {THRESHOLD}::FLOAT)::INTEGER) AS share_below,
        avg((cosine_masked < {THRESHOLD}::FLOAT)::INTEGER) AS share_below_masked,
        avg((cosine >= {THRESHOLD}::FLOAT AND cosine_masked < {THRESHOLD}::FLOAT)::INTEGER) AS share_fallen
    FROM masked_alignment WHERE cosine IS NOT NULL AND cosine_masked IS NOT NULL GROUP BY subset
    """,
)
