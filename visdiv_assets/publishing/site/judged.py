"""The precision that people's decisions measure, as a section of several pages."""

from __future__ import annotations

from typing import Any

from visdiv_assets.publishing.review_words import precision_sentence
from visdiv_assets.publishing.site.page_model import Entry, Grid, Heading, Section, count, share
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.statistics import ALL
from visdiv_assets.wording import several

_PRECISION = """
SELECT kind::VARCHAR AS kind, subset, basis, "right", wrong, unsure, "precision", precision_low, precision_high
FROM review_precision WHERE evidence = $every
ORDER BY kind, subset != $every, subset, basis DESC
"""

#: What the pairs of each kind are called.
_PAIRS = {"duplicates": "Copies", "contamination": "Leaks"}


def judged_totals(corpus: Corpus) -> list[Section]:
    """Return the section on all subsets together; none if nobody judged a confirmed pair."""
    rows = [row for row in _rows(corpus) if row["subset"] == ALL]
    said = [f"{_PAIRS[row['kind']]}: {_sentence(row)}" for row in rows]
    return [Section("Precision, as people judge it", said)] if said else []


def judged_by_subset(corpus: Corpus, kind: str) -> list[Section]:
    """Return the section on the pairs of a kind, with a table by subset; none if nobody judged a confirmed pair."""
    rows = [row for row in _rows(corpus) if row["kind"] == kind]
    said = [_sentence(row) for row in rows if row["subset"] == ALL]
    return [Section("Precision, as people judge it", said, grids=[_grid(rows)])] if rows else []


def _rows(corpus: Corpus) -> list[dict[str, Any]]:
    # The view is there if its table is; files of other releases have neither.
    return corpus.warehouse.rows_of("review_decisions", _PRECISION, every=ALL)


def _sentence(row: dict[str, Any]) -> str:
    low, high = row["precision_low"], row["precision_high"]
    return precision_sentence(row["right"], row["wrong"], low, high, sampled=row["basis"] == "sampled")


def _grid(rows: list[dict[str, Any]]) -> Grid:
    headings = [
        Heading("Subset", "Holds one of the two images, or both."),
        Heading("Pairs", "Of the random sample that `visdiv review` proposes, or all that people judged."),
        Heading("Right", "Confirmed pairs that people judged to be copies."),
        Heading("Wrong", "Confirmed pairs that people judged not to be copies."),
        Heading("Unsure", "Confirmed pairs on which people could not decide; the precision does not count them."),
        Heading("Precision", "right / (right + wrong), with the 95 % interval (Wilson)."),
    ]
    table = [
        [
            Entry("all" if row["subset"] == ALL else row["subset"]),
            Entry("random sample" if row["basis"] == "sampled" else "all judged"),
            *(count(row[name]) for name in ("right", "wrong", "unsure")),
            share(row["precision"], row["precision_low"], row["precision_high"]),
        ]
        for row in rows
    ]
    subsets = len({row["subset"] for row in rows} - {ALL})
    return Grid(f"Confirmed pairs that people judged: {several(subsets, 'subset')}", headings, table)
