"""Tables of text that was read from images. They are empty unless a run was asked to read it."""

from __future__ import annotations

from visdiv_assets.contamination import cross_modal
from visdiv_assets.publishing.warehouse.columns import (
    IMAGE_ID,
    IMAGE_INDEX,
    OF_SUBSET,
    ROW,
    SUBSET,
    Column,
    Table,
    View,
    enum,
)
from visdiv_assets.texts.personal_data import KINDS

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

_LEAK_KIND = Column(
    "kind",
    enum(*cross_modal.KINDS),
    "What of the benchmark stands in what of the subset. text_in_image: a string of the benchmark, such as a question "
    "or answer, in the text of an image. image_in_text: the text of an image of the benchmark in the questions and "
    "answers of a row. image_in_image: the text of an image of the benchmark in the text of an image.",
)

IMAGE_TEXT_LEAKS = Table(
    "image_text_leaks",
    "One row per image, or row, of a subset and text of a benchmark that stands in it, where one of the texts, or both,"
    " was read from an image (OCR). A text counts if 0.7 of its n-grams of 8 letters and digits are there. No rows "
    "are dropped because of it.",
    (
        SUBSET,
        ROW,
        Column("image_index", "INTEGER", "Index of the image in its row, from 0; NULL for the texts of the row."),
        Column("image_id", "VARCHAR", "The image_id of that image; NULL for the texts of the row."),
        _LEAK_KIND,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        Column("benchmark_row", "BIGINT", "Index of the row in the benchmark, from 0."),
        Column("benchmark_image_index", "INTEGER", "Index of the image in the benchmark's row; NULL for a string."),
        Column("benchmark_image_id", "VARCHAR", "The image_id of the benchmark's image; NULL for a string."),
        Column("benchmark_string", "INTEGER", "Index of the string in the benchmark's row, from 0; NULL for an image."),
        Column("ngrams", "INTEGER", "Distinct n-grams of the benchmark's text, without those of its template."),
        Column("ngrams_matched", "INTEGER", "Those that stand in the image or row.", stored="ngrams_found"),
        Column("share", "FLOAT", "ngrams_matched / ngrams, 0.7 to 1."),
        Column("excerpt", "VARCHAR", "The first 300 characters of the benchmark's text."),
    ),
)

IMAGE_TEXT_LEAK_RATES = Table(
    "image_text_leak_rates",
    "One row per subset whose images were read, benchmark and kind: how much of the subset has text of the benchmark, "
    "and how much of the benchmark is in the subset. All numbers are NULL if nothing was compared, as for a benchmark "
    "whose images were not read.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        _LEAK_KIND,
        Column(
            "compared",
            "BIGINT",
            "Images of the subset that were read, a seeded sample by default; for image_in_text, rows with texts.",
        ),
        Column("found", "BIGINT", "Those in which a text of the benchmark stands."),
        Column("rate", "DOUBLE", "found / compared."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
        Column(
            "benchmark_compared",
            "BIGINT",
            "Strings of the benchmark, or texts of its images that were read, that are long enough: at least 40 n-grams"
            " that at most 10 of them share.",
        ),
        Column("benchmark_found", "BIGINT", "Those that stand in the subset's texts or images."),
        Column("benchmark_rate", "DOUBLE", "benchmark_found / benchmark_compared."),
        Column("benchmark_ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of benchmark_rate."),
        Column("benchmark_ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of benchmark_rate."),
    ),
    references=OF_SUBSET,
)

_KINDS = (
    ("text_in_image", "Images of subsets in which a question, answer or other string of the benchmark stands"),
    ("image_in_text", "Rows of subsets in whose questions and answers the text of an image of the benchmark stands"),
    ("image_in_image", "Images of subsets in which the text of an image of the benchmark stands"),
)

IMAGE_TEXT_LEAK_SUMMARY = View(
    "image_text_leak_summary",
    "A view with one row per subset whose images were read, and benchmark: in how many images and rows text of the "
    "benchmark stands, by what stands in what, with rates and 95 % intervals.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        *(
            column
            for kind, comment in _KINDS
            for column in (
                Column(kind, "BIGINT", f"{comment}; NULL if nothing was compared."),
                Column(f"{kind}_rate", "DOUBLE", "Their share of those that were compared."),
                Column(f"{kind}_ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval."),
                Column(f"{kind}_ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval."),
            )
        ),
    ),
    query=f"""
    SELECT subset, benchmark, {
        ", ".join(
            f"max({column}) FILTER (kind = '{kind}') AS {kind}{ending}"
            for kind, _ in _KINDS
            for column, ending in (("found", ""), ("rate", "_rate"), ("ci_low", "_ci_low"), ("ci_high", "_ci_high"))
        )
    } FROM image_text_leak_rates GROUP BY subset, benchmark ORDER BY subset, benchmark
    """,
)

IMAGE_PERSONAL_DATA = Table(
    "image_personal_data",
    "One row per image of a subset and kind of personal data in the text that was read from it (OCR), at the position "
    "where the image first occurs. The values themselves are not stored. personal_data has those of questions and "
    "answers.",
    (
        SUBSET,
        ROW,
        IMAGE_INDEX,
        IMAGE_ID,
        Column("kind", enum(*KINDS), "What was found: email, phone, ip_address (public), or key; as in personal_data."),
        Column("count", "INTEGER", "Number of values of this kind in the image."),
    ),
)
