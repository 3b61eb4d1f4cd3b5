"""The page on quality: ratings of the answers, and what rules find in images and texts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts, heat_maps, quality_rules
from visdiv_assets.publishing.site.page_model import (
    Chart,
    Entry,
    Grid,
    Heading,
    Page,
    Section,
    count,
    number,
    percent,
    share,
)
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.wording import several

_ALL = """
SELECT criterion, rating, sum(turns)::BIGINT AS turns,
    sum(turns) / sum(sum(turns)) OVER (PARTITION BY criterion) AS share
FROM quality WHERE rating IS NOT NULL GROUP BY criterion, rating ORDER BY criterion, rating
"""

_BY_SUBSET = """
SELECT subset, criterion, sum(turns) FILTER (rating IS NOT NULL)::BIGINT AS rated,
    (sum(turns) FILTER (rating IS NULL))::BIGINT AS unrated,
    sum(rating * turns) / sum(turns) FILTER (rating IS NOT NULL) AS mean,
    coalesce(sum(turns) FILTER (rating <= 2), 0) / sum(turns) FILTER (rating IS NOT NULL) AS low
FROM quality GROUP BY subset, criterion HAVING rated > 0 ORDER BY subset, criterion
"""

_INTRODUCTION = (
    "Ratings of the turns (a question and its answer), from 1 (worst) to 5 (best); issues of images and texts by "
    "rules; and personal data."
)


def page(corpus: Corpus) -> Page:
    """Make the page: ratings of all subsets together and of each, issues of images and texts, and personal data."""
    ratings = corpus.warehouse.rows_of("quality", _ALL)
    if not ratings:
        nothing = "No turn has a rating: the source has no ratings, or run `visdiv run --all`."
        sections = [Section("Ratings", nothing=nothing)]
    else:
        by_subset = corpus.warehouse.rows(_BY_SUBSET)
        sections = [
            Section("Ratings of all subsets together", charts=[_histograms(ratings)]),
            Section("Ratings by subset", charts=[_heat_map(by_subset)]),
        ]
    return Page("quality.html", "Quality", _INTRODUCTION, [*sections, *quality_rules.sections(corpus.warehouse)])


def _words(criterion: str) -> str:
    return criterion.replace("_", " ")


def _histograms(ratings: list[dict[str, Any]]) -> Chart:
    criteria = list(dict.fromkeys(row["criterion"] for row in ratings))
    best = {
        name: sum(row["share"] for row in ratings if row["criterion"] == name and row["rating"] >= 4)
        for name in criteria
    }
    said = ", ".join(f"{_words(name)} {percent(part)}" for name, part in best.items())
    drawn = pa.table(
        {
            "criterion": [_words(row["criterion"]) for row in ratings],
            "rating": [row["rating"] for row in ratings],
            "value": [round(row["share"], 6) for row in ratings],
            "said": [f"{percent(row['share'])}: {row['turns']:,} turns" for row in ratings],
        }
    )
    return Chart(
        "ratings",
        "How often each rating was given",
        f"Rated 4 or 5: {said}.",
        charts.bars(
            x={"field": "rating", "type": "ordinal", "axis": {"labelAngle": 0, "title": "rating"}},
            y=charts.quantity("value", "share of the rated turns", form="~%"),
            facet="criterion",
            columns=4,
            tooltip={"criterion": "criterion", "rating": "rating", "said": "share"},
        ),
        drawn,
        Grid(
            "Turns by criterion and rating",
            [Heading("Criterion"), Heading("Rating"), Heading("Turns"), Heading("Share")],
            [
                [Entry(_words(row["criterion"])), Entry(row["rating"]), count(row["turns"]), share(row["share"])]
                for row in ratings
            ],
        ),
    )


def _heat_map(rows: list[dict[str, Any]]) -> Chart:
    lows: dict[str, float] = {}
    for row in rows:
        lows[row["subset"]] = max(lows.get(row["subset"], 0.0), row["low"])
    subsets = sorted(lows, key=lambda name: (-lows[name], name))
    worst = max(rows, key=lambda row: row["low"])
    drawn = pa.table(
        {
            "subset": [row["subset"] for row in rows],
            "criterion": [_words(row["criterion"]) for row in rows],
            "value": [round(row["low"], 6) for row in rows],
            "said": [percent(row["low"]) for row in rows],
            "mean": [f"{row['mean']:.2f}" for row in rows],
            "turns": [f"{row['rated']:,}" for row in rows],
        }
    )
    headings = [
        Heading("Subset"),
        Heading("Criterion"),
        Heading("Rated 1 or 2", "Share of the rated turns."),
        Heading("Mean rating"),
        Heading("Turns rated"),
        Heading("Not rated"),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(_words(row["criterion"])),
            share(row["low"]),
            number(row["mean"], 2),
            count(row["rated"]),
            count(row["unrated"] or 0),
        ]
        for row in rows
    ]
    return Chart(
        "low",
        "Share of the turns that are rated 1 or 2",
        f"Of {several(len(subsets), 'subset')}, {worst['subset']} has the highest share: {percent(worst['low'])} for "
        f"{_words(worst['criterion'])}. Subsets with the highest shares come first.",
        heat_maps.heat_map(
            subsets,
            list(dict.fromkeys(_words(row["criterion"]) for row in rows)),
            row="subset",
            column="criterion",
            title="share of the rated turns that are rated 1 or 2 (gray: 0)",
            tooltip={
                "subset": "subset",
                "criterion": "criterion",
                "said": "rated 1 or 2",
                "mean": "mean rating",
                "turns": "turns",
            },
        ),
        drawn,
        Grid("Ratings by subset and criterion", headings, table),
    )
