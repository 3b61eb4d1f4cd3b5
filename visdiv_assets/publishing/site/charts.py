"""Make charts as Vega-Lite, without data; heat maps are in `heat_maps`.

Colors that begin with $ are names of colors of the page (`publishing/template/site.css`), so that charts follow its
light or dark mode.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Spec = dict[str, Any]

#: Height of a row of names, and maximum width of the names, in pixels.
STEP, LABELS = 14, 230
#: Height in pixels of charts that are as wide as the page.
HEIGHT = 320

#: Maximum subsets that have a color each; of more subsets, each category has one.
COLORS = 9

#: Opacity of lines if there are many, so that a highlighted one stands out.
_PALE = 0.3

#: Axis of names.
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
    """Make a line chart in which the line under the pointer, or chosen by name, stands out.

    Args:
        x: encoding of the horizontal axis.
        y: encoding of the vertical axis.
        line: column of the data with the names of the lines.
        names: all values of that column.
        color: column of the data by which lines are colored.
        tooltip: content of the tooltip: titles by column of the data.
        part: column of the data by which a line is split into parts that are not connected.
        band: columns of the data with the ends of an interval around the line.
        choice: result of `choose`.
        points: whether points are visible; they have tooltips in any case.
        hollow: boolean column of the data; points with true are hollow.
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
        # Draw the intervals of all lines only if there are few; 185 of them would hide the chart.
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
    """Make a chart with a row per name: a dot with its interval, the highest first.

    Dots are hollow where the column `too_few` of the data is true.

    Args:
        value: column of the data with the numbers.
        low: column of the data with the lower end of the interval.
        high: column of the data with the upper end of the interval.
        name: column of the data with the names.
        title: title of the axis.
        color: column of the data by which dots are colored.
        tooltip: see `curves`.
        choice: result of `choose`.
    """
    across = {
        "type": "quantitative",
        "scale": {"zero": False, "padding": 8},
        "axis": {"title": title, "orient": "top", "tickCount": 6},
    }
    # The legend is next to the axis at the top, since 185 names are three screens high.
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
    """Make small histograms side by side, one for each value of the column `facet` of the data."""
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


def stacked(
    *, names: Sequence[str], name: str, part: str, parts: Sequence[str], title: str, tooltip: Mapping[str, str]
) -> Spec:
    """Make a chart with a bar per name that consists of parts: shares in the column `value` of the data.

    Args:
        names: names from top to bottom.
        name: column of the data with the names.
        part: column of the data with the parts.
        parts: parts in the order of their colors.
        title: title of the axis.
        tooltip: see `curves`.
    """
    return {
        "width": 480,
        "height": {"step": STEP + 2},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {"field": name, "type": "nominal", "scale": {"domain": list(names)}, "axis": NAMES},
            "x": {
                "field": "value",
                "type": "quantitative",
                "axis": {"title": title, "orient": "top", "tickCount": 6, "format": "~%"},
            },
            "color": colors(part, orient="top", symbol="square") | {"scale": {"domain": list(parts)}},
            "tooltip": fields(tooltip),
        },
    }


def dots(*, x: Spec, y: Spec, color: str, tooltip: Mapping[str, str], choice: Spec) -> Spec:
    """Make a dot per row of the data, hollow where the column `too_few` is true; a click opens the column `link`.

    The chosen value is the title of the vertical axis, so `y` has none.
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
    """Make a menu of the values of a column, initially `first`; the chart then shows the rows with the chosen value.

    Empty if there is only one value.
    """
    if len(options) < 2:
        return {}
    bound = {"input": "select", "options": list(options), "name": f"{label} "}
    return {
        "params": [{"name": "chosen", "value": first or options[0], "bind": bound}],
        "transform": [{"filter": f"datum[{column!r}] === chosen"}],
    }


def fields(tooltip: Mapping[str, str]) -> list[Spec]:
    """Make the encoding of a tooltip."""
    return [{"field": field, "title": title} for field, title in tooltip.items()]


def colored_by(subsets: Collection[str]) -> str:
    """Return the column that colors subsets: subset if there are few, else category."""
    return "subset" if len(set(subsets)) <= COLORS else "category"


def colors(column: str, *, orient: str = "bottom", symbol: str = "circle") -> Spec:
    """Make the encoding of colors by a column with few names, with a legend."""
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
    """Make the encoding of an axis of numbers."""
    axis: Spec = {"title": title, **({"format": form} if form else {}), **({"tickCount": 6} if log else {})}
    return {
        "field": field,
        "type": "quantitative",
        # Padding keeps dots at the ends of a logarithmic axis whole.
        "scale": {"type": "log", "nice": False, "padding": 10} if log else {"zero": True},
        "axis": axis,
    }


def similarity(field: str, values: Collection[float]) -> Spec:
    """Make the encoding of an axis of thresholds, with a tick at each of them."""
    axis = {"title": "minimum similarity", "values": sorted(set(values)), "format": "~g", "labelOverlap": True}
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"zero": False, "nice": False, "padding": 15},
        "axis": axis,
    }
