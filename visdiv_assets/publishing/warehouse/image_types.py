"""Types of images, and reports on inappropriate content by CLIP and by lists of words."""

from __future__ import annotations

from visdiv_assets.curation.image_types.by_features import TYPES
from visdiv_assets.curation.image_types.subset import METHODS
from visdiv_assets.curation.image_types.zero_shot import TOPICS
from visdiv_assets.publishing.warehouse.columns import IMAGE_ID, IMAGE_INDEX, ROW, SUBSET, Column, Table, View, enum

_METHOD = Column(
    "method",
    enum(*METHODS),
    "How the type was found. features: by measures of the image, which cannot tell table, math and map. clip: by "
    "comparing its CLIP vector with those of prompts, without training.",
)
_TYPE = Column("type", enum(*TYPES), "Type of the image; NULL where the method is too uncertain to name one.")

IMAGE_TYPES = Table(
    "image_types",
    "One row per position of a readable image and method: what kind of image it is.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        _METHOD,
        _TYPE,
        Column("score", "FLOAT", "Probability of the likeliest type, 0 to 1, by the method; also where type is NULL."),
    ),
)

IMAGE_TYPE_SUMMARY = View(
    "image_type_summary",
    "A view with one row per subset, method and type of image: how many of its images have it.",
    (
        SUBSET,
        _METHOD,
        _TYPE,
        Column("images", "BIGINT", "Image positions of the subset with the type."),
        Column("share", "DOUBLE", "images / readable image positions of the subset."),
    ),
    query="""
    SELECT subset, method, type, count(*) AS images,
        count(*) / sum(count(*)) OVER (PARTITION BY subset, method) AS share
    FROM image_types GROUP BY subset, method, type
    """,
)

IMAGE_TYPE_AGREEMENT = View(
    "image_type_agreement",
    "A view with one row per subset and pair of types: how many images have the one by features and the other by CLIP. "
    "Empty where there are no CLIP vectors.",
    (
        SUBSET,
        Column("type_by_features", enum(*TYPES), "Type by features; NULL: none was named."),
        Column("type_by_clip", enum(*TYPES), "Type by CLIP; NULL: none was named."),
        Column("images", "BIGINT", "Image positions with these two."),
    ),
    query="""
    SELECT f.subset, f.type AS type_by_features, c.type AS type_by_clip, count(*) AS images
    FROM image_types f JOIN image_types c USING (subset, "row", image_index)
    WHERE f.method = 'features' AND c.method = 'clip' GROUP BY ALL
    """,
)

INAPPROPRIATE_IMAGES = Table(
    "inappropriate_images",
    "One row per position of a readable image: how much closer its CLIP vector is to prompts that describe "
    "inappropriate content than to prompts that describe the opposite. A report: nothing is dropped by it. The scores "
    "are not calibrated, and an image with a high one may be harmless.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("topic", enum(*TOPICS), "The topic with the highest score."),
        Column("score", "FLOAT", "The highest score, 0 to 1: above 0.5 the image is closer to the topic."),
        *(Column(name, "FLOAT", f"Score of the topic {name}, 0 to 1.") for name in TOPICS),
    ),
)

INAPPROPRIATE_IMAGE_SUMMARY = View(
    "inappropriate_image_summary",
    "A view with one row per subset and topic: the scores of its images in inappropriate_images.",
    (
        SUBSET,
        Column("topic", enum(*TOPICS), "The topic."),
        Column("images", "BIGINT", "Image positions that have a score."),
        Column("p50", "DOUBLE", "Median of the scores."),
        Column("p90", "DOUBLE", "Score that 90 % of the images do not exceed."),
        Column("p99", "DOUBLE", "Score that 99 % of the images do not exceed."),
        Column("highest", "DOUBLE", "The highest score."),
        Column("images_closer", "BIGINT", "Images closer to the topic than to its opposite: score above 0.5."),
        Column("share_closer", "DOUBLE", "images_closer / images."),
    ),
    query=f"""
    SELECT subset, topic, images, q[1]::DOUBLE AS p50, q[2]::DOUBLE AS p90, q[3]::DOUBLE AS p99, highest, images_closer,
        images_closer / images AS share_closer
    FROM (
        SELECT subset, topic::{enum(*TOPICS)} AS topic, count(*) AS images,
            quantile_cont(score, [0.5, 0.9, 0.99]) AS q, max(score)::DOUBLE AS highest,
            count(*) FILTER (score > 0.5) AS images_closer
        FROM (UNPIVOT (SELECT subset, {", ".join(TOPICS)} FROM inappropriate_images) ON {", ".join(TOPICS)}
            INTO NAME topic VALUE score)
        GROUP BY subset, topic
    )
    """,
)

_SIDE = Column(
    "side", enum("user", "assistant", "image"), "Where the word stands: user (question), assistant (answer) or image."
)

LISTED_WORDS = Table(
    "listed_words",
    "One row per text and word of the list that stands in it (VISDIV_BLOCKLIST, or the list of glin-profanity). "
    "A report: nothing is dropped by it. A list knows no context.",
    (
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0; NULL for the text of an image."),
        Column("image_index", "INTEGER", "Index of the image in its row, from 0; NULL for a question or answer."),
        _SIDE,
        Column("word", "VARCHAR", "The word or phrase, in lower case."),
    ),
)

LISTED_WORD_SUMMARY = View(
    "listed_word_summary",
    "A view with one row per subset that was searched and kind of text: how many rows have a word of the list.",
    (
        SUBSET,
        _SIDE,
        Column("rows", "BIGINT", "Rows with such a text."),
        Column("words", "BIGINT", "Different words of the list that occur."),
        Column("matches", "BIGINT", "Pairs of a text and a word that stands in it."),
        Column("share", "DOUBLE", "rows / rows of the subset. For image, only rows whose images were read can count."),
    ),
    query=f"""
    WITH searched AS (
        SELECT n.subset, unnest(CASE p.table_name WHEN 'listed_words' THEN ['user', 'assistant']
            ELSE ['image'] END)::{_SIDE.type} AS side
        FROM provenance p JOIN subsets n ON n.subset = p.partition AND n.source_revision = p.source_revision
        JOIN provenance t ON t.table_name = 'listed_words' AND t.partition = p.partition
            AND t.settings ->> 'words' = p.settings ->> 'words'
        WHERE p.table_name IN ('listed_words', 'image_listed_words') AND p.settings ->> 'words' <> 'none'
    ), found AS (
        SELECT subset, side, count(DISTINCT "row") AS "rows", count(DISTINCT word) AS words, count(*) AS matches
        FROM listed_words GROUP BY subset, side
    )
    SELECT s.subset, s.side, coalesce(f."rows", 0) AS "rows", coalesce(f.words, 0) AS words,
        coalesce(f.matches, 0) AS matches, coalesce(f."rows", 0) / nullif(n."rows", 0) AS share
    FROM searched s JOIN subsets n USING (subset) LEFT JOIN found f ON f.subset = s.subset AND f.side = s.side
    """,
)
