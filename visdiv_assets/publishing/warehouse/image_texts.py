"""Tables of text that was read from images. They are empty unless a run was asked to read it."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import IMAGE_ID, IMAGE_INDEX, ROW, SUBSET, Column, Table, View, enum

IMAGE_TEXTS = Table(
    "image_texts",
    "One row per image of a subset whose text was read (OCR), a seeded sample by default, at the position where the "
    "image first occurs. Its answers are those of the turns of that row that have words.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column(
            "status",
            enum("read", "failed"),
            "read, or failed: the reader failed on the image, and all that it would find is NULL.",
        ),
        Column("boxes", "INTEGER", "Boxes of text, usually lines; 0: no text was found."),
        Column("characters", "INTEGER", "Characters of the texts of all boxes."),
        Column("words", "INTEGER", "Words of the texts; every Chinese or Japanese character is one."),
        Column("text_area", "FLOAT", "Share of the image's area that the boxes cover, 0 to 1."),
        Column("confidence", "FLOAT", "Mean of the reader's confidence in the texts, 0 to 1; NULL without text."),
        Column("excerpt", "VARCHAR", "The first 300 characters of the texts, one line per box."),
        Column(
            "placeholder",
            "BOOLEAN",
            "True if a phrase such as image not found makes up at least half of the words.",
        ),
        Column("answers", "INTEGER", "Answers of the row that have words."),
        Column(
            "answers_half_in_image",
            "INTEGER",
            "Answers of which at least half of the distinct words stand in the image; NULL if it could not be read.",
        ),
        Column("answers_in_image", "INTEGER", "Answers of which all distinct words stand in the image."),
        Column("answer_words", "BIGINT", "Sum of the distinct words of each answer."),
        Column("answer_words_in_image", "BIGINT", "Those that stand in the image."),
    ),
)


def _share(condition: str) -> str:
    return f"count(*) FILTER (WHERE {condition}) / nullif(count(*), 0)"


IMAGE_TEXT_SUMMARY = View(
    "image_text_summary",
    "A view with one row per subset whose images were read: how much text they hold, and how much of it answers "
    "repeat (parrot captions; of questions about documents and charts, repeating it is the purpose).",
    (
        SUBSET,
        Column("images_read", "BIGINT", "Images that were read; images_unique of subsets has the number of all."),
        Column("images_failed", "BIGINT", "Images on which the reader failed; no other column counts them."),
        Column("share_without_text", "DOUBLE", "Share of the images without text."),
        Column("share_few_characters", "DOUBLE", "Share of the images with 1 to 19 characters, such as labels."),
        Column("share_some_characters", "DOUBLE", "Share of the images with 20 to 199 characters."),
        Column("share_many_characters", "DOUBLE", "Share of the images with 200 characters or more, such as pages."),
        Column("text_area", "DOUBLE", "Mean share of an image's area that boxes of text cover."),
        Column("placeholders", "BIGINT", "Images that say that an image is missing."),
        Column("answers", "BIGINT", "Answers beside the images, in the rows where they first occur."),
        Column("share_half_in_image", "DOUBLE", "Share of the answers of which half of the words stand in the image."),
        Column("share_in_image", "DOUBLE", "Share of the answers of which all words stand in the image."),
        Column(
            "co_text_rate",
            "DOUBLE",
            "Distinct words of the answers that stand in their images / distinct words of the answers.",
        ),
    ),
    query=f"""
    WITH failed AS (
        SELECT subset, count(*) FILTER (WHERE status = 'failed') AS images_failed FROM image_texts GROUP BY subset
    ), counted AS (
        SELECT subset, count(*) AS images_read,
            {_share("boxes = 0")} AS share_without_text,
            {_share("boxes > 0 AND characters < 20")} AS share_few_characters,
            {_share("characters BETWEEN 20 AND 199")} AS share_some_characters,
            {_share("characters >= 200")} AS share_many_characters,
            avg(text_area) AS text_area, count(*) FILTER (WHERE placeholder) AS placeholders,
            sum(answers)::BIGINT AS answers,
            sum(answers_half_in_image) / nullif(sum(answers), 0) AS share_half_in_image,
            sum(answers_in_image) / nullif(sum(answers), 0) AS share_in_image,
            sum(answer_words_in_image) / nullif(sum(answer_words), 0) AS co_text_rate
        FROM image_texts WHERE status = 'read' GROUP BY subset
    )
    SELECT subset, coalesce(images_read, 0) AS images_read, images_failed, share_without_text, share_few_characters,
        share_some_characters, share_many_characters, text_area, coalesce(placeholders, 0) AS placeholders,
        coalesce(answers, 0) AS answers, share_half_in_image, share_in_image, co_text_rate
    FROM failed LEFT JOIN counted USING (subset)
    """,
)
