"""Make heat maps as Vega-Lite, without data; see `charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visdiv_assets.publishing.site.charts import NAMES, STEP, Spec, fields

#: Maximum columns of a matrix with wide cells that contain their numbers, and maximum rows of one with high cells.
ROOMY_COLUMNS, ROOMY_ROWS = 12, 30

_EMPTY = {"test": "datum.value === 0", "value": "$empty"}
#: A share that is not 0 is not shown as 0.
_PERCENT = "datum.value === 0 ? '0' : datum.value < 0.0005 ? '<0.1%' : format(datum.value, '.1%')"


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    row: str,
    column: str,
    title: str,
    tooltip: Mapping[str, str],
    choice: Spec | None = None,
    link: bool = False,
    small: bool = True,
    sparse: bool = False,
) -> Spec:
    """Make a heat map of shares: the column `value` of the data, by two columns of names.

    Args:
        rows: names from top to bottom.
        columns: names from left to right.
        row: column of the data with the names of rows.
        column: column of the data with the names of columns.
        title: title of the color scale.
        tooltip: content of the tooltip: titles by column of the data.
        choice: result of `choose` if the data has several matrices.
        link: whether a click opens the address in the column `link` of the data.
        small: whether most shares are small: the color scale then emphasizes small differences; else it is linear from
            0 to 100 %.
        sparse: whether cells that are missing in the data are 0.
    """
    roomy = len(columns) <= ROOMY_COLUMNS
    short = roomy and max(map(len, columns), default=0) <= 8
    place: Spec = {
        "x": {
            "field": column,
            "type": "nominal",
            "scale": {"domain": list(columns)},
            "axis": {**NAMES, "orient": "top", "labelAngle": 0 if short else -60},
        },
        "y": {"field": row, "type": "nominal", "scale": {"domain": list(rows)}, "axis": NAMES},
        "tooltip": fields(tooltip),
        **({"href": {"field": "link"}} if link else {}),
    }
    range_ = {"range": ["$low", "$middle", "$high"]}
    color: Spec = {
        "condition": _EMPTY,
        "field": "value",
        "type": "quantitative",
        "scale": {"type": "sqrt", "domainMin": 0, **range_} if small else {"domain": [0, 1], **range_},
        "legend": {
            "title": title,
            "format": "~%",
            "orient": "top",
            "gradientLength": 240,
            "titleLimit": 600,
            "tickCount": 4,
            "labelOverlap": "greedy",
        },
    }
    cell: Spec = {"type": "rect", "stroke": "$paper", "strokeWidth": 1}
    drawn: Spec = {"mark": cell, "encoding": {**place, "color": color}}
    transform = [*(choice or {}).get("transform", [])]
    if roomy:
        # Black text on light cells, white text on dark ones.
        ink = {"test": "luminance(scale('color', datum.value)) > 0.25", "value": "#000000"}
        written: Spec = {
            "mark": {"type": "text", "fontSize": 11},
            "encoding": {
                "text": {"field": "written"},
                "color": {"condition": [{**_EMPTY, "value": "$ink"}, ink], "value": "#ffffff"},
            },
        }
        drawn = {"encoding": place, "layer": [{"mark": cell, "encoding": {"color": color}}, written]}
        transform.append({"calculate": _PERCENT, "as": "written"})
    return {
        **(choice or {}),
        **({"transform": transform} if transform else {}),
        "width": {"step": 4 * STEP if roomy else STEP},
        "height": {"step": STEP + 10 if roomy and len(rows) <= ROOMY_ROWS else STEP + 2 if roomy else STEP},
        "view": {"fill": "$empty" if sparse else None, "stroke": None},
        **drawn,
    }


def most_first(cells: Sequence[Mapping[str, Any]], column: str, value: str) -> list[str]:
    """Return the names in a column of some cells, those with the largest sum of a value first."""
    totals: dict[str, int] = {}
    for cell in cells:
        totals[cell[column]] = totals.get(cell[column], 0) + cell[value]
    return sorted(totals, key=lambda name: (-totals[name], name))
