"""Charts as Vega-Lite, without their data; heat maps are in `heat_maps`.

Colors that begin with $ are names of the page's own (`reports/template/site.css`), so that charts are light or dark as
the page is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

#: Pixels of a row of names, and of the names along it.
STEP, LABELS = 14, 230
#: Pixels of what stretches over the page, downwards.
HEIGHT = 320

#: Colors that are told apart: of so many subsets each has its own, of more each category.
COLORS = 9

#: Many lines are pale, so that those that are pointed at or chosen stand out.
_PALE = 0.3

#: Of an axis of names.
NAMES: Spec = {"title": None, "labelLimit": LABELS, "labelFontSize": 11, "ticks": False, "domain": False}


def curves(
    *,
    x: Spec,
    y: Spec,
    line: str,
    names: Collection[str],
    color: str,
    tooltip: Mapping[str, str],
    part: str = "",
    band: tuple[str, str] | None = None,
    choice: Spec | None = None,
    points: bool = True,
    hollow: str = "",
) -> Spec:
    """A line for each subset, of which the one that is pointed at or chosen by name stands out.

    Args:
        x: encoding of the horizontal axis.
        y: likewise.
        line: the data's column that tells lines apart.
        names: of the lines, all in that column.
        color: the data's column by which lines are colored.
        tooltip: what pointing at a mark says: columns of the data and what they are called.
        part: a column by which a line is in parts that are not connected.
        band: the data's columns with the ends of an interval around the line.
        choice: of `choose`.
        points: whether each number is seen as a point; it can be pointed at in any case.
        hollow: the data's column of yes and no: points that say yes are hollow.
    """
    many = len(names) > COLORS
    chosen = choice or {}
    lit: Spec = {"param": "pointed", "empty": False}
    params = [*chosen.get("params", [])]
    if many:
        lit = {"or": [lit, f"datum[{line!r}] === highlighted"]}
        listed = ["", *sorted(names, key=str.lower)]
        bound = {"input": "select", "options": listed, "labels": ["none", *listed[1:]], "name": "Highlighted "}
        params.append({"name": "highlighted", "value": "", "bind": bound})
    paint = colors(color, symbol="stroke")
    unnamed = {**paint, "legend": None}
    encoding: Spec = {"x": x, "y": y, "detail": {"field": part or line, "type": "nominal"}, "color": paint}
    opacity: Spec = {"condition": {"test": lit, "value": 1}, "value": _PALE if many else 1}
    pointed = {"type": "point", "fields": [line], "on": "pointerover", "clear": "pointerout", "nearest": False}
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "interpolate": "linear"},
            "encoding": {"strokeWidth": {"condition": {"test": lit, "value": 3}, "value": 1.2}, "opacity": opacity},
            "params": [{"name": "pointed", "select": pointed}],
        }
    ]
    if band:
        low, high = band
        # Of few lines all intervals are drawn; 185 of them would be a fog.
        shown = {"condition": {"test": lit, "value": 0.9}, "value": 0 if many else 0.6}
        ends = {"y": {"field": low, "type": "quantitative"}, "y2": {"field": high}, "opacity": shown}
        layers.append({"mark": {"type": "rule", "strokeWidth": 2}, "encoding": ends})
    layers.append(
        {
            "mark": {"type": "point", "size": 90 if not points else 20 if many else 45, "strokeWidth": 1.5},
            "encoding": {
                "opacity": opacity if points else {"value": 0},
                "fill": {
                    **({"condition": {"test": f"datum[{hollow!r}]", "value": "$paper"}} if hollow else {}),
                    **unnamed,
                },
                "tooltip": fields(tooltip),
            },
        }
    )
    return {
        **chosen,
        **({"params": params} if params else {}),
        "width": "container",
        "height": HEIGHT,
        "encoding": encoding,
        "layer": layers,
    }


def ranking(
    *,
    value: str,
    low: str,
    high: str,
    name: str,
    title: str,
    color: str,
    tooltip: Mapping[str, str],
    choice: Spec,
) -> Spec:
    """A dot with its interval for each name, one below the other, the highest first.

    Dots are hollow where the data's column `too_few` says yes.

    Args:
        value: the data's column with the numbers.
        low: the data's column with the lower end of the interval.
        high: the data's column with the upper end.
        name: the data's column with the names.
        title: of the axis.
        color: the data's column by which dots are colored.
        tooltip: see `curves`.
        choice: of `choose`.
    """
    across = {
        "type": "quantitative",
        "scale": {"zero": False, "padding": 8},
        "axis": {"title": title, "orient": "top", "tickCount": 6},
    }
    # The legend is beside the axis, since 185 names are three screens high.
    paint = colors(color, orient="top", symbol="stroke")
    return {
        **choice,
        "width": 480,
        "height": {"step": STEP + 2},
        "encoding": {
            "y": {
                "field": name,
                "type": "nominal",
                "sort": {"field": value, "op": "max", "order": "descending"},
                "axis": {**NAMES, "grid": True},
            },
            "color": paint,
            "tooltip": fields(tooltip),
        },
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": {"field": low, **across}, "x2": {"field": high}},
            },
            {
                "mark": {"type": "point", "size": 50, "strokeWidth": 1.5},
                "encoding": {
                    "x": {"field": value, **across},
                    "fill": {"condition": {"test": "datum.too_few", "value": "$paper"}, **paint, "legend": None},
                },
            },
        ],
    }


def bars(*, x: Spec, y: Spec, facet: str, columns: int, tooltip: Mapping[str, str]) -> Spec:
    """Small histograms side by side, one for each value of the data's column `facet`."""
    return {
        "columns": columns,
        "facet": {"field": facet, "type": "nominal", "header": {"title": None}},
        "spec": {
            "width": 150,
            "height": 160,
            "mark": {"type": "bar", "color": "$mark"},
            "encoding": {"x": x, "y": y, "tooltip": fields(tooltip)},
        },
    }


def dots(*, x: Spec, y: Spec, color: str, tooltip: Mapping[str, str], choice: Spec) -> Spec:
    """A dot for each row of the data, hollow where its column `too_few` says yes; a click follows its column `link`.

    What is chosen is the vertical axis's title, so `y` has none.
    """
    paint = colors(color)
    named = {"title": {"text": {"expr": "chosen"}, "orient": "left", "anchor": "middle"}} if choice else {}
    return {
        **choice,
        **named,
        "width": "container",
        "height": HEIGHT,
        "mark": {"type": "point", "size": 70, "opacity": 0.85},
        "encoding": {
            "x": x,
            "y": y,
            "color": paint,
            "fill": {"condition": {"test": "datum.too_few", "value": "$paper"}, **paint},
            "tooltip": fields(tooltip),
            "href": {"field": "link"},
        },
    }


def choose(column: str, options: Sequence[str], label: str, first: str = "") -> Spec:
    """Let the reader choose which value of a column is drawn, at first `first`; nothing if there is only one."""
    if len(options) < 2:
        return {}
    bound = {"input": "select", "options": list(options), "name": f"{label} "}
    return {
        "params": [{"name": "chosen", "value": first or options[0], "bind": bound}],
        "transform": [{"filter": f"datum[{column!r}] === chosen"}],
    }


def fields(tooltip: Mapping[str, str]) -> list[Spec]:
    """What pointing at a mark says."""
    return [{"field": field, "title": title} for field, title in tooltip.items()]


def colored_by(subsets: Collection[str]) -> str:
    """The column of the data that colors subsets: their names if they are few, else their categories."""
    return "subset" if len(set(subsets)) <= COLORS else "category"


def colors(column: str, *, orient: str = "bottom", symbol: str = "circle") -> Spec:
    """Colors by a column of few names, told in a legend."""
    legend = {
        "title": None,
        "orient": orient,
        "columns": 4,
        "labelLimit": 300,
        "symbolType": symbol,
        "symbolOpacity": 1,
    }
    return {"field": column, "type": "nominal", "legend": legend}


def quantity(field: str, title: str | None, *, log: bool = False, form: str = "") -> Spec:
    """The encoding of an axis with numbers."""
    axis: Spec = {"title": title, **({"format": form} if form else {}), **({"tickCount": 6} if log else {})}
    return {
        "field": field,
        "type": "quantitative",
        # A dot at an end of a log axis is whole.
        "scale": {"type": "log", "nice": False, "padding": 10} if log else {"zero": True},
        "axis": axis,
    }


def similarity(field: str, values: Collection[float]) -> Spec:
    """The encoding of an axis of thresholds, with a tick at each of them."""
    axis = {"title": "similarity from", "values": sorted(set(values)), "format": "~g", "labelOverlap": True}
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": False, "nice": False, "padding": 15},
        "axis": axis,
    }
