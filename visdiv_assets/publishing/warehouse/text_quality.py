"""Tables of the quality of texts and images, and of personal data in texts."""

from __future__ import annotations

from visdiv_assets.curation.row_quality import TEXT_PROFILES
from visdiv_assets.publishing.warehouse.columns import OF_SUBSET, ROW, SUBSET, Column, Table, View, enum
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.texts.personal_data import KINDS

_TURN = Column("turn", "INTEGER", "Index of the turn in its row, from 0.")

TEXT_QUALITY = Table(
    "text_quality",
    "One row per turn: measures of its question and answer. Repetition is measured as in Gopher's filter, by words.",
    (
        SUBSET,
        ROW,
        _TURN,
        Column("question_characters", "INTEGER", "Characters of the question."),
        Column("question_words", "INTEGER", "Words of the question."),
        Column("answer_characters", "INTEGER", "Characters of the answer."),
        Column(
            "answer_words",
            "INTEGER",
            "Words of the answer: letters and digits in a row, or one Chinese or Japanese character.",
        ),
        Column("repeated_lines", "FLOAT", "Share of the answer's lines that an earlier one equals; no blank lines."),
        Column(
            "top_ngram",
            "FLOAT",
            "Words in occurrences of the answer's most frequent 3-word n-gram / answer_words, at most 1; 0 if none "
            "occurs twice.",
        ),
        Column(
            "repeated_ngrams",
            "FLOAT",
            "Share of the answer's words in 5-word n-grams that occur earlier in the answer.",
        ),
        Column("longest_run", "INTEGER", "Length of the answer's longest run of one character, no white space."),
        Column(
            "special_characters",
            "FLOAT",
            "Share of the answer's characters that are neither letters, digits nor white space.",
        ),
        Column("empty_answer", "BOOLEAN", "True if there is no answer, or only white space."),
        Column(
            "refusal",
            "BOOLEAN",
            "True if one of the answer's first sentences begins with a phrase of texts/refusals.txt: I cannot help, "
            "As an AI.",
        ),
        Column(
            "language",
            "VARCHAR",
            "Language of question and answer together, as a code of ISO 639, by fastText's lid.176. NULL: fewer than "
            "20 letters, or the extra language is not installed.",
        ),
        Column("language_probability", "FLOAT", "Probability of the language, 0 to 1."),
    ),
)

_KIND = Column(
    "kind",
    enum(*KINDS),
    "What was found: email, phone (valid by libphonenumber), ip_address (public), or key (of a service, or private).",
)

PERSONAL_DATA = Table(
    "personal_data",
    "One row per text and kind of personal data in it, without the values. Excerpts in other tables may contain them.",
    (
        SUBSET,
        ROW,
        _TURN,
        Column("side", enum("user", "assistant"), "Which text of the turn: user (question) or assistant (answer)."),
        _KIND,
        Column("count", "INTEGER", "How many values of the kind the text has."),
        Column("position", "INTEGER", "Index of the character of the text with which the first one begins."),
    ),
)

PERSONAL_DATA_SUMMARY = View(
    "personal_data_summary",
    "One row per subset and kind of personal data: in how many rows it is. Subsets whose texts were not searched have "
    "no rows.",
    (
        SUBSET,
        _KIND,
        Column("rows", "BIGINT", "Rows with such data."),
        Column("found", "BIGINT", "Values found, equal ones counted each time."),
        Column("share", "DOUBLE", "rows / rows of the subset; NULL if it has none."),
    ),
    query=f"""
    WITH searched AS (
        SELECT DISTINCT partition AS subset FROM provenance WHERE table_name = 'text_quality'
    ), found AS (
        SELECT subset, kind, count(DISTINCT "row") AS "rows", sum("count")::BIGINT AS found FROM personal_data
        GROUP BY subset, kind
    )
    SELECT s.subset, k.kind, coalesce(f."rows", 0) AS "rows", coalesce(f.found, 0) AS found,
        coalesce(f."rows", 0) / nullif(s."rows", 0) AS share
    FROM subsets s JOIN searched USING (subset)
        CROSS JOIN (SELECT unnest(enum_range(NULL::{_KIND.type}))::{_KIND.type} AS kind) k
        LEFT JOIN found f ON f.subset = s.subset AND f.kind = k.kind
    ORDER BY s.subset, k.kind
    """,
)

#: Share of repeated n-grams above which an answer is called repetitive.
_REPETITIVE = TEXT_PROFILES["gopher"]["repeated_ngrams"]

TEXT_QUALITY_SUMMARY = View(
    "text_quality_summary",
    "One row per subset: its turns, and how many of them have an empty answer or a refusal, or repeat themselves.",
    (
        SUBSET,
        Column("turns", "BIGINT", "Turns of the subset."),
        Column("empty_answers", "BIGINT", "Turns without an answer, or with one of only white space."),
        Column("refusals", "BIGINT", "Turns whose answer is a refusal."),
        Column("repetitive", "BIGINT", f"Turns of which repeated_ngrams is more than {_REPETITIVE}, Gopher's limit."),
        Column("words_median", "DOUBLE", "Median of the words of answers."),
        Column("language", "VARCHAR", "Most frequent language; NULL if none was detected."),
        Column("language_share", "DOUBLE", "Share of the turns with a language that are in it."),
    ),
    query=f"""
    SELECT subset, count(*) AS turns, count(*) FILTER (empty_answer) AS empty_answers,
        count(*) FILTER (refusal) AS refusals, count(*) FILTER (repeated_ngrams > {_REPETITIVE}::FLOAT) AS repetitive,
        median(answer_words) AS words_median, mode(language) AS language,
        max(n) FILTER (language IS NOT NULL) / nullif(count(language), 0) AS language_share
    FROM (SELECT *, count(*) OVER (PARTITION BY subset, language) AS n FROM text_quality)
    GROUP BY subset ORDER BY subset
    """,
)

#: Measures of which there are quantiles, by the table that has them.
_MEASURES = {
    "images": (
        "width",
        "height",
        "aspect_ratio",
        "size_bytes",
        "brightness",
        "contrast",
        "entropy",
        "sharpness",
    ),
    "text_quality": (
        "question_words",
        "answer_words",
        "repeated_lines",
        "top_ngram",
        "repeated_ngrams",
        "longest_run",
        "special_characters",
    ),
}
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NAMES = tuple(f"p{round(100 * share):02}" for share in _SHARES)

QUALITY_QUANTILES = Table(
    "quality_quantiles",
    "One row per subset and measure of its images or turns: quantiles of the measure.",
    (
        SUBSET,
        Column("table_name", enum(*_MEASURES), "The table that has the measure as a column."),
        Column("measure", "VARCHAR", "Name of the measure."),
        *(
            Column(name, "DOUBLE", f"Quantile {share:g}; NULL without values.")
            for name, share in zip(_NAMES, _SHARES, strict=True)
        ),
    ),
    references=OF_SUBSET,
)


def fill_quantiles(loader: Loader, subset: str, table: str) -> None:
    """Add the quantiles of the measures of a subset's images or turns, which are already in the file.

    Args:
        loader: of the file.
        subset: its name.
        table: images or text_quality.
    """
    measures = _MEASURES[table]
    quantiles = ", ".join(f"quantile_cont({name}::DOUBLE, {list(_SHARES)}) AS {name}" for name in measures)
    values = ", ".join(f"quantiles[{index + 1}]" for index in range(len(_SHARES)))
    loader.connection.execute(
        f"""INSERT INTO quality_quantiles SELECT $subset, '{table}', measure, {values}
        FROM (SELECT {quantiles} FROM "{table}" WHERE subset = $subset)
        UNPIVOT INCLUDE NULLS (quantiles FOR measure IN ({", ".join(measures)}))""",
        {"subset": subset},
    )
    loader.expect("quality_quantiles", len(measures))
