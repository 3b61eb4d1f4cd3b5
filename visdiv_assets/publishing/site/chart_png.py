"""Charts of the site as images, for Dagster's metadata."""

from __future__ import annotations

import io
import re
from typing import Any

import pyarrow as pa

from visdiv_assets.publishing.html_files import read_template
from visdiv_assets.publishing.site import charts, contamination, overlap
from visdiv_assets.publishing.site.charts import Spec
from visdiv_assets.publishing.site.page_model import Chart
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.statistics import ALL

#: Bytes of an image that the UI still shows quickly.
MAX_SUBSETS = 96_000
#: Names along an axis at most: of more, those with the largest shares.
NAMES = 60
#: Few colors make a small file, and a heat map has few.
COLORS = 64

_COLOR = re.compile(r"--([a-z0-9]+): (#[0-9a-f]{6})")


def corpus_images(corpus: Corpus) -> dict[str, bytes]:
    """The heat maps of contamination and overlap, by name; without those that have nothing but 0, or are too large."""
    found = {}
    for name, page in (("contamination", contamination.page(corpus)), ("overlap", overlap.page(corpus))):
        charts = [chart for section in page.sections for chart in section.charts]
        if charts and any(charts[0].data["value"].to_pylist()) and (drawn := png(charts[0])):
            found[name] = drawn
    return found


def leaks_image(rates: pa.Table) -> bytes | None:
    """The benchmarks that share most images with a subset, as bars with their intervals.

    Args:
        rates: of `search.contamination.RATES_SCHEMA`, a row for each benchmark.

    Returns:
        PNG of less than `MAX_SUBSETS` bytes; None where no benchmark shares an image.
    """
    rows = [row for row in rates.to_pylist() if row["benchmark"] != ALL and row["images_contaminated"]]
    rows.sort(key=lambda row: (-row["rate"], row["benchmark"]))
    across = {
        "type": "quantitative",
        "axis": {"title": "share of the subset's images, 95 % interval", "format": "~%"},
    }
    spec = {
        "width": 400,
        "height": {"step": charts.STEP + 4},
        "encoding": {"y": {"field": "benchmark", "type": "nominal", "sort": None, "axis": charts.NAMES}},
        "layer": [
            {"mark": {"type": "bar", "color": "$low"}, "encoding": {"x": {"field": "rate", **across}}},
            {
                "mark": {"type": "rule", "color": "$mark", "strokeWidth": 2},
                "encoding": {"x": {"field": "ci_low", **across}, "x2": {"field": "ci_high"}},
            },
        ],
    }
    return _drawn(spec, rows[:NAMES]) if rows else None


def png(chart: Chart) -> bytes | None:
    """Draw a heat map in its light colors, as it is before anything is chosen or pointed at.

    Args:
        chart: one of the site's heat maps, its data with the largest shares first.

    Returns:
        PNG of less than `MAX_SUBSETS` bytes, of `NAMES` rows and columns at most; None if it would be larger.
    """
    # Most cells of a heat map are 0: as its ground they cost nothing.
    rows = [row for row in chart.data.to_pylist() if row.get("value") != 0]
    encoding = dict(chart.spec["encoding"])
    for axis in ("x", "y"):
        shown = set(list(dict.fromkeys(row[encoding[axis]["field"]] for row in rows))[:NAMES])
        domain = encoding[axis]["scale"]["domain"]
        if len(domain) > NAMES:
            encoding[axis] = {**encoding[axis], "scale": {"domain": [name for name in domain if name in shown]}}
            rows = [row for row in rows if row[encoding[axis]["field"]] in shown]
    return _drawn({**chart.spec, "encoding": encoding, "view": {"fill": "$empty", "stroke": None}}, rows)


def _drawn(spec: Spec, rows: list[dict[str, Any]]) -> bytes | None:
    import vl_convert
    from PIL import Image

    spec = _colored({**spec, "background": "$paper", "data": {"values": rows}}, _light())
    drawn = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec)))
    stream = io.BytesIO()
    drawn.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    content = stream.getvalue()
    return content if len(content) < MAX_SUBSETS else None


def _light() -> dict[str, str]:
    """The page's colors by name; the dark ones come later in its style sheets."""
    colors: dict[str, str] = {}
    for sheet in ("page.css", "site.css"):
        for name, value in _COLOR.findall(read_template(sheet).partition("@media (prefers-color-scheme: dark)")[0]):
            colors.setdefault(name, value)
    return colors


def _colored(value: Any, colors: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("$"):
        return colors[value[1:]]
    if isinstance(value, list):
        return [_colored(each, colors) for each in value]
    if isinstance(value, dict):
        return {key: _colored(each, colors) for key, each in value.items()}
    return value
