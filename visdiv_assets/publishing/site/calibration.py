"""The section on the measured recall and precision of thresholds and of the comparison of pixels."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts, heat_maps
from visdiv_assets.publishing.site.overview import OTHER
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Heading, Section, count, percent, share
from visdiv_assets.publishing.site.report_data import Corpus

_CALIBRATION = """
SELECT c.*, coalesce(s.category, $other) AS category FROM calibration c LEFT JOIN subsets s USING (subset)
WHERE copy_kind = 'ALL' AND strength = 'ALL' AND rule <> 'confidence' ORDER BY subset, rule, threshold
"""

_KINDS = """
SELECT copy_kind AS kind, rule, threshold, sum(copies) AS copies, sum(copies_found) AS found,
    sum(copies_found) / sum(copies) AS recall
FROM calibration WHERE copy_kind <> 'ALL' AND strength = 'ALL' AND rule <> 'confidence' AND copies > 0
GROUP BY copy_kind, rule, threshold ORDER BY copy_kind, rule, threshold
"""

#: Name of the comparison of pixels among the thresholds.
_PIXELS = "pixels"


def calibration_section(corpus: Corpus) -> Section:
    """Make the section: recall and precision of each rule, and recall by kind of copy."""
    heading = "Calibration"
    if not corpus.warehouse.has_rows("calibration"):
        nothing = (
            "No subset was calibrated: run the job calibration_pipeline for a subset (`visdiv ui`, Jobs), then "
            "`visdiv run --all`."
        )
        return Section(heading, nothing=nothing)
    rows = [{**row, "name": _rule(row)} for row in corpus.warehouse.rows(_CALIBRATION, other=OTHER)]
    kinds = [{**row, "name": _rule(row)} for row in corpus.warehouse.rows(_KINDS)]
    return Section(
        heading,
        ["Measured with copies made of the subset's own images, so that the correct answers are known."],
        charts=[_rules(rows), _by_kind(kinds)],
    )


def _rule(row: dict[str, Any]) -> str:
    return _PIXELS if row["threshold"] is None else f"{row['threshold']:g}"


def _rules(rows: list[dict[str, Any]]) -> Chart:
    drawn = [
        {
            "subset": row["subset"],
            "category": row["category"],
            # No line connects the thresholds with the comparison of pixels.
            "part": f"{row['subset']} {row['rule']}",
            "rule": row["name"],
            "measure": name,
            "value": row[measure],
            "low": row[f"{measure}_low"],
            "high": row[f"{measure}_high"],
            "said": share(row[measure], row[f"{measure}_low"], row[f"{measure}_high"]).said,
        }
        for measure, name in (
            ("recall", "recall: copies found"),
            ("precision", "precision: accepted pairs that are copies"),
        )
        for row in rows
        if row[measure] is not None
    ]
    names = sorted({row["name"] for row in rows}, key=lambda name: (name == _PIXELS, name))
    reached = [f"{_total(rows, name)} at {name}" for name in names if name != _PIXELS]
    said = (
        f"The comparison of pixels finds {_total(rows, _PIXELS)} of the copies; similarity {', '.join(reached)}. All "
        "kinds of copies and all subsets have the same weight."
    )
    headings = [
        Heading("Subset"),
        Heading("Rule", "A minimum similarity, or pixels."),
        Heading("Recall", "Share of the copies that the rule finds, with the 95 % interval."),
        Heading("Precision", "Share of the accepted pairs that are copies, with the 95 % interval."),
        Heading("Copies"),
    ]
    table = [
        [
            Entry(row["subset"]),
            Entry(row["name"]),
            share(row["recall"], row["recall_low"], row["recall_high"]),
            share(row["precision"], row["precision_low"], row["precision_high"]),
            count(row["copies"]),
        ]
        for row in rows
    ]
    return Chart(
        "rules",
        "Copies that each rule finds, and how much of what it accepts is correct",
        f"{said} Each line is a subset; a good rule is high in both measures.",
        charts.curves(
            x={
                "field": "rule",
                "type": "nominal",
                "sort": names,
                "axis": {"title": "minimum similarity, or comparison of pixels", "labelAngle": 0},
            },
            y=charts.quantity("value", "share, with the 95 % interval", form="~%"),
            line="subset",
            names={row["subset"] for row in rows},
            part="part",
            color=charts.colored_by([row["subset"] for row in rows]),
            tooltip={"subset": "subset", "rule": "rule", "measure": "measure", "said": "share"},
            band=("low", "high"),
            choice=charts.choose("measure", list(dict.fromkeys(row["measure"] for row in drawn)), "Measure"),
        ),
        pa.Table.from_pylist(drawn),
        Grid("Recall and precision by subset and rule", headings, table),
    )


def _total(rows: list[dict[str, Any]], name: str) -> str:
    recalls = [row["recall"] for row in rows if row["name"] == name and row["recall"] is not None]
    return f"{sum(recalls) / len(recalls):.0%}" if recalls else "none"


def _by_kind(kinds: list[dict[str, Any]]) -> Chart:
    names = sorted({row["name"] for row in kinds}, key=lambda name: (name == _PIXELS, name))
    order = sorted({row["kind"] for row in kinds})
    hardest = min(order, key=lambda kind: sum(row["recall"] for row in kinds if row["kind"] == kind), default="none")
    recall = {(row["kind"], row["name"]): row for row in kinds}
    drawn = pa.table(
        {
            "kind": [row["kind"] for row in kinds],
            "rule": [row["name"] for row in kinds],
            "value": [round(row["recall"], 4) for row in kinds],
            "said": [f"{percent(row['recall'])}: {row['found']:,.0f} of {row['copies']:,.0f}" for row in kinds],
        }
    )
    return Chart(
        "kinds",
        "Copies found, by how they were changed",
        f"All calibrated subsets together. The hardest to find, over all rules, are copies of the kind {hardest}.",
        heat_maps.heat_map(
            order,
            names,
            row="kind",
            column="rule",
            title="recall: share of the copies found (gray: 0)",
            tooltip={"kind": "kind of copy", "rule": "rule", "said": "found"},
            small=False,
        ),
        drawn,
        Grid(
            "Recall by kind of copy and rule",
            [Heading("Kind of copy"), *(Heading(name) for name in names)],
            [
                [
                    Entry(kind),
                    *(share(found["recall"] if (found := recall.get((kind, name))) else None) for name in names),
                ]
                for kind in order
            ],
        ),
    )
