"""Tables of the ratings by a judge."""

from __future__ import annotations

from visdiv_assets.curation.judge.profiles import MLM_SCORES, PROFILE_NAMES
from visdiv_assets.curation.judge.tasks import FROM_SOURCE
from visdiv_assets.publishing.warehouse.columns import ROW, SUBSET, Column, Table, View, enum
from visdiv_assets.sources.schema import CRITERIA

_PROFILE = Column(
    "profile",
    enum(*PROFILE_NAMES),
    "What was rated: finevision (FineVision's four criteria, 1 to 5) or mlm_filter (the MLM filter's four scores, 1 to "
    "100).",
)
_MODEL = Column("model", "VARCHAR", "Name of the judge's model at its endpoint.")
_PROMPTS = Column("prompts", "VARCHAR", "Version of the prompts: the first 12 hex characters of their hash.")

JUDGE_RATINGS = Table(
    "judge_ratings",
    "One row per turn of a subset that a judge has rated: a model behind an OpenAI-compatible endpoint.",
    (
        SUBSET,
        ROW,
        Column("turn", "INTEGER", "Index of the turn in its row, from 0."),
        *(
            Column(name, "TINYINT", f"The judge's rating of the turn by {name}, 1 to 5; NULL without, see reason.")
            for name in CRITERIA
        ),
        *(
            Column(name, "TINYINT", f"The judge's score of the turn by {name}, 1 to 100; NULL without, see reason.")
            for name in MLM_SCORES
        ),
        Column(
            "reason",
            "VARCHAR",
            "Why ratings of the profile are missing, such as: rated by the source, no image, budget reached, HTTP 500, "
            "the reply is not JSON. Of some criteria, after their names. NULL if none is missing.",
        ),
        Column(
            "unanswered",
            "BOOLEAN",
            "True if a question about the turn has no answer, because of a failure or the budget; the next run asks.",
        ),
        Column(
            "suspected_injection",
            "BOOLEAN",
            "True if a text of the turn addresses a judge, by a list of phrases, or a text in its image, by the "
            "judge's own answer. The ratings are what the judge gave: look at the turn before you use them.",
        ),
        Column("injection", "VARCHAR", "The passage that was found; NULL without."),
        _PROFILE,
        _MODEL,
        _PROMPTS,
    ),
)

_CRITERIA = (*CRITERIA, *MLM_SCORES)

JUDGE_SUMMARY = View(
    "judge_summary",
    "One row per subset that a judge has rated: how many turns have ratings, and how many do not. A view of "
    "judge_ratings.",
    (
        SUBSET,
        _PROFILE,
        _MODEL,
        _PROMPTS,
        Column("turns", "BIGINT", "Turns of the files that were begun."),
        Column("turns_rated", "BIGINT", "Turns with at least one rating by the judge."),
        Column("turns_from_source", "BIGINT", "Turns that were not asked about, since the source has all ratings."),
        Column("turns_unanswered", "BIGINT", "Turns with a question without an answer, which the next run asks."),
        Column("turns_suspected", "BIGINT", "Turns whose texts or images seem to address a judge."),
    ),
    query=f"""
    SELECT subset, profile, model, prompts, count(*) AS turns,
        count(*) FILTER (coalesce({", ".join(_CRITERIA)}) IS NOT NULL) AS turns_rated,
        count(*) FILTER (reason = '{FROM_SOURCE}') AS turns_from_source,
        count(*) FILTER (unanswered) AS turns_unanswered,
        count(*) FILTER (suspected_injection) AS turns_suspected
    FROM judge_ratings GROUP BY subset, profile, model, prompts ORDER BY subset
    """,
)
