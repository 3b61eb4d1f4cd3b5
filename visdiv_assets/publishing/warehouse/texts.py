"""Tables of texts: those of benchmarks that occur in subsets, and questions and answers that repeat."""

from __future__ import annotations

from visdiv_assets.publishing.warehouse.columns import OF_SUBSET, ROW, SUBSET, Column, Table, View, enum

_NGRAM_SIZE = Column(
    "ngram_size",
    "INTEGER",
    "Words of an n-gram: 8 or 13; 0 for a match of a whole text of 5 to 12 words.",
    stored="size",
)

TEXT_OVERLAPS = Table(
    "text_overlaps",
    "One row per text of a subset, benchmark and ngram_size that have n-grams in common. n-grams that more than 10 "
    "texts of a benchmark share do not count.",
    (
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0."),
        Column("side", enum("user", "assistant"), "Which text of the turn: user (question) or assistant (answer)."),
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        _NGRAM_SIZE,
        Column("ngrams", "INTEGER", "n-grams of the text.", stored="runs"),
        Column("ngrams_matched", "INTEGER", "n-grams of the text that occur in the benchmark.", stored="runs_found"),
        Column("share", "FLOAT", "ngrams_matched / ngrams."),
        Column(
            "longest_match",
            "INTEGER",
            "Words of the longest passage that matched n-grams cover without a gap.",
            stored="longest",
        ),
    ),
)

TEXT_CONTAMINATION_RATES = Table(
    "text_contamination_rates",
    "One row per subset, benchmark and ngram_size: how many rows have texts of the benchmark in their questions or "
    "answers. The benchmark ALL is all benchmarks together.",
    (
        SUBSET,
        Column("benchmark", "VARCHAR", "Name of the benchmark, or ALL."),
        _NGRAM_SIZE,
        Column("rows", "BIGINT", "Rows of the subset."),
        Column("rows_matched", "BIGINT", "Rows with at least one matched n-gram.", stored="rows_found"),
        Column(
            "rows_half_matched",
            "BIGINT",
            "Rows with a text of which at least half of the n-grams are matched.",
            stored="rows_half_found",
        ),
        Column("rate", "DOUBLE", "rows_matched / rows; NULL if the subset has no rows."),
        Column("ci_low", "DOUBLE", "Lower end of the Wilson 95 % interval of the rate."),
        Column("ci_high", "DOUBLE", "Upper end of the Wilson 95 % interval of the rate."),
    ),
    references=OF_SUBSET,
)

_KIND = Column(
    "kind",
    enum("question", "answer", "pair", "question_on_image", "pair_on_image"),
    "What is compared: question, answer, pair (question and answer), or question_on_image and pair_on_image: "
    "questions and pairs of rows with the same images, byte-equal or connected by confirmed pairs.",
)
_MATCH = Column(
    "match",
    enum("exact", "near"),
    "exact: equal texts. near: different texts that near duplicates with the same numbers connect; of a pair, both the "
    "question and the answer are near duplicates or equal.",
)
_GROUP_ID = Column(
    "group_id",
    "VARCHAR",
    "Identity of the group, 16 hex characters; of equal questions or answers, the first bytes of the SHA-256 of the "
    "text.",
)

TEXT_DUPLICATE_SUMMARY = Table(
    "text_duplicate_summary",
    "One row per subset, kind and match: how many turns have a text that another turn has, in the same or another "
    "subset. The subset ALL is all subsets together. Turns without the text are left out.",
    (
        SUBSET,
        _KIND,
        _MATCH,
        Column("turns", "BIGINT", "Turns that have the text."),
        Column("texts", "BIGINT", "Different texts among them; if match is near, different clusters of texts."),
        Column("repeated", "BIGINT", "Turns whose text another turn has, without those of templates."),
        Column("repeated_within", "BIGINT", "Of these, turns whose text another turn of the same subset has."),
        Column("repeated_across", "BIGINT", "Of these, turns whose text a turn of another subset has."),
        Column("redundant", "BIGINT", "Repeated turns without the first turn of each text, by subset, row and turn."),
        Column(
            "templates",
            "BIGINT",
            "Template questions: with VISDIV_TEMPLATE_IMAGES different images or more, and different answers.",
        ),
        Column("of_templates", "BIGINT", "Turns whose question is a template; they are no duplicates."),
        Column("share", "DOUBLE", "repeated / turns; NULL if there are no turns."),
    ),
)

TEXT_GROUPS = Table(
    "text_groups",
    "One row per group of turns with the same text: the 200 largest of each kind and match, with the first turn.",
    (
        _KIND,
        _MATCH,
        _GROUP_ID,
        Column("turns", "BIGINT", "Turns of the group."),
        Column("rows", "BIGINT", "Rows that they are in."),
        Column("subsets", "BIGINT", "Subsets that they are in."),
        Column("images", "BIGINT", "Different images, or combinations of images, of these rows; copies count once."),
        Column("answers", "BIGINT", "Different answers of these turns."),
        Column("template", "BOOLEAN", "True if the questions are a template, which is no duplicate."),
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0."),
        Column("excerpt", "VARCHAR", "First 200 characters of the text; of pairs, question | answer."),
    ),
)

TEXT_NEAR_DUPLICATES = Table(
    "text_near_duplicates",
    "One row per pair of different texts that share a MinHash bucket and have at least the Jaccard similarity "
    "VISDIV_TEXT_SIMILARITY.",
    (
        Column("text_id_a", "VARCHAR", "First bytes of the SHA-256 of the first text, 16 hex characters."),
        Column("text_id_b", "VARCHAR", "The same of the second text."),
        Column("similarity", "FLOAT", "Jaccard similarity of their sets of 5-word n-grams, computed exactly."),
        Column("same_numbers", "BOOLEAN", "Whether they have the same numbers; if not, they are no near duplicates."),
        Column("question", "BOOLEAN", "Whether both occur as a question."),
        Column("answer", "BOOLEAN", "Whether both occur as an answer."),
    ),
)

REPEATED_TURNS = Table(
    "repeated_turns",
    "One row per turn of a group: of the kinds pair, question_on_image and pair_on_image.",
    (
        _KIND,
        _MATCH,
        _GROUP_ID,
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0."),
        Column("is_first", "BOOLEAN", "True for the first turn of the group, by subset, row and turn."),
    ),
)

_SUMMARY_COLUMNS = (
    ("turns", "turns", "pair", "exact", "Turns with a question or an answer."),
    ("questions_repeated", "repeated", "question", "exact", "Turns whose question repeats and is no template."),
    ("questions_near", "repeated", "question", "near", "Turns whose question is a near duplicate of another."),
    ("answers_repeated", "repeated", "answer", "exact", "Turns whose answer repeats."),
    ("answers_near", "repeated", "answer", "near", "Turns whose answer is a near duplicate of another."),
    ("pairs_repeated", "repeated", "pair", "exact", "Turns whose question and answer repeat."),
    ("pairs_near", "repeated", "pair", "near", "Turns whose question and answer are near duplicates of others."),
    (
        "questions_on_image_repeated",
        "repeated",
        "question_on_image",
        "exact",
        "Turns whose question another row with the same images has.",
    ),
    (
        "pairs_on_image_repeated",
        "repeated",
        "pair_on_image",
        "exact",
        "Turns whose question and answer another row with the same images has.",
    ),
    ("templates", "templates", "question", "exact", "Template questions."),
    ("of_templates", "of_templates", "question", "exact", "Turns whose question is a template."),
)

TEXT_SUMMARY = View(
    "text_summary",
    "One row per subset, and ALL for all together: how many of its turns repeat. A view of text_duplicate_summary.",
    (
        SUBSET,
        *(Column(name, "BIGINT", comment) for name, _, _, _, comment in _SUMMARY_COLUMNS),
        Column("pairs_repeated_share", "DOUBLE", "pairs_repeated / turns; NULL if there are no turns."),
    ),
    query=f"""
    SELECT subset, {
        ", ".join(
            f"sum({column}) FILTER (kind = '{kind}' AND match = '{match}')::BIGINT AS {name}"
            for name, column, kind, match, _ in _SUMMARY_COLUMNS
        )
    }, max(share) FILTER (kind = 'pair' AND match = 'exact') AS pairs_repeated_share
    FROM text_duplicate_summary GROUP BY subset ORDER BY subset = 'ALL', subset
    """,
)

BENCHMARK_LEAKS = View(
    "benchmark_leaks",
    "One row per benchmark: in how many rows of all subsets an image, a text, or both are in it.",
    (
        Column("benchmark", "VARCHAR", "Name of the benchmark."),
        Column(
            "rows_image",
            "BIGINT",
            "Rows with an image that is a confirmed copy of one of its images; NULL if no pixels were compared.",
        ),
        Column(
            "rows_text",
            "BIGINT",
            "Rows with a text of which half of the 13-word n-grams or more are in it, or that is one of its texts of 5 "
            "to 12 words; NULL if no texts were compared.",
        ),
        Column("rows_both", "BIGINT", "Rows with such an image and such a text; NULL if one was not compared."),
        Column("subsets_both", "BIGINT", "Subsets with such rows; NULL if one was not compared."),
    ),
    query="""
    WITH compared AS (
        SELECT benchmark, bool_or(by_pixels) AS by_pixels, bool_or(by_text) AS by_text FROM (
            SELECT benchmark, rule = 'confirmed' AS by_pixels, false AS by_text FROM contamination_rates
            UNION ALL SELECT benchmark, false, true FROM text_contamination_rates
        ) WHERE benchmark <> 'ALL' GROUP BY benchmark
    ),
    images AS (SELECT DISTINCT benchmark, subset, "row" FROM contamination_pairs WHERE verdict = 'confirmed'),
    texts AS (
        SELECT DISTINCT benchmark, subset, "row" FROM text_overlaps
        WHERE ngram_size = 0 OR (ngram_size = 13 AND share >= 0.5)
    ),
    found AS (
        SELECT benchmark, subset, i."row" IS NOT NULL AS image, t."row" IS NOT NULL AS text
        FROM images i FULL JOIN texts t USING (benchmark, subset, "row")
    )
    SELECT benchmark, CASE WHEN by_pixels THEN count(*) FILTER (image) END AS rows_image,
        CASE WHEN by_text THEN count(*) FILTER (text) END AS rows_text,
        CASE WHEN by_pixels AND by_text THEN count(*) FILTER (image AND text) END AS rows_both,
        CASE WHEN by_pixels AND by_text THEN count(DISTINCT subset) FILTER (image AND text) END AS subsets_both
    FROM compared LEFT JOIN found USING (benchmark) GROUP BY benchmark, by_pixels, by_text ORDER BY benchmark
    """,
)
