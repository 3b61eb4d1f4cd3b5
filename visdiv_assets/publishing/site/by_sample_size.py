"""The chart of diversity scores by sample size."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.site import charts
from visdiv_assets.publishing.site.page_model import Chart
from visdiv_assets.publishing.site.score_cells import MEASURES, TOO_FEW, interval, scored


def against_size(rows: list[dict[str, Any]], whole: list[dict[str, Any]]) -> Chart:
    """Make a chart with a line per subset: its mean score at each sample size, up to the score of all its images.

    Args:
        rows: rows of the table `diversity_rarefied`, with the category of the subset.
        whole: rows of the table `diversity`, with the category of the subset.
    """
    drawn = []
    for measure, name in MEASURES.items():
        decimals = 3 if measure == "score" else 1
        drawn += [
            {
                **_named(row, row["sample_size"], name),
                **{to: row[f"{measure}_{part}"] for to, part in (("value", "mean"), ("low", "low"), ("high", "high"))},
                "drawn": f"{row['samples']} samples of {row['sample_size']:,}" if row["samples"] > 1 else "all",
                "said": interval(row, measure, decimals).said,
            }
            for row in rows
        ]
        # A subset with exactly as many images as a sample already has a row.
        there = {(row["subset"], row["sample_size"]) for row in rows}
        drawn += [
            {
                **_named(row, row["images"], name),
                **dict.fromkeys(("value", "low", "high"), row[measure]),
                "drawn": f"all {row['images']:,}",
                "said": scored(row[measure], row["too_few"], decimals).said,
            }
            for row in whole
            if row[measure] is not None and (row["subset"], row["images"]) not in there
        ]
    drawn.sort(key=lambda row: (row["subset"], row["images"]))
    for row in drawn:
        row.update({name: round(row[name], 5) for name in ("value", "low", "high")})
    summary = (
        "Each line is a subset; its last point is the whole subset. Scores rise with the number of images, so compare "
        "lines at equal numbers of images, not at their ends. Vertical bars are intervals of 90 % of the samples."
    )
    if any(row["too_few"] for row in drawn):
        summary += f" Hollow points have {TOO_FEW} images: fewer than two per dimension; they are low for this reason."
    return Chart(
        "against_size",
        "Diversity by number of images",
        summary,
        charts.curves(
            x=charts.quantity("images", "images (logarithmic)", log=True),
            y=charts.quantity("value", "mean of the samples"),
            line="subset",
            names={row["subset"] for row in drawn},
            color=charts.colored_by([row["subset"] for row in drawn]),
            tooltip={"subset": "subset", "drawn": "images", "measure": "measure", "said": "mean (90 % of samples)"},
            band=("low", "high"),
            choice=charts.choose("measure", list(MEASURES.values()), "Measure"),
            hollow="too_few",
        ),
        pa.Table.from_pylist(drawn),
    )


def _named(row: dict[str, Any], images: int, measure: str) -> dict[str, Any]:
    return {
        "subset": row["subset"],
        "category": row["category"],
        "images": images,
        "measure": measure,
        "too_few": bool(row["too_few"]),
    }
