"""Draw charts of the site as PNG, for the metadata of assets. They need vl_convert (extra `reports`)."""

from __future__ import annotations

import io
import re
from typing import Any

import pyarrow as pa

from visdiv_assets.extras import is_installed, require_extra
from visdiv_assets.publishing.html_files import read_template
from visdiv_assets.publishing.site import charts, contamination, overlap
from visdiv_assets.publishing.site.charts import Spec
from visdiv_assets.publishing.site.page_model import Chart
from visdiv_assets.publishing.site.report_data import Corpus
from visdiv_assets.statistics import ALL

#: Maximum bytes of an image, so that the Dagster UI shows it quickly.
MAX_BYTES = 96_000
#: Maximum names along an axis; the ones with the largest shares are shown.
NAMES = 60
#: Colors of the palette: few colors make a small file, and a heat map needs no more.
COLORS = 64

_COLOR = re.compile(r"--([a-z0-9]+): (#[0-9a-f]{6})")


def corpus_images(corpus: Corpus) -> dict[str, bytes]:
    """Draw the heat maps of contamination and overlap.

    Returns:
        PNGs by name, without heat maps that are 0 everywhere or too large. Empty if vl_convert is not installed.
    """
    if not is_installed("vl_convert"):
        return {}
    found = {}
    for name, page in (("contamination", contamination.page(corpus)), ("overlap", overlap.page(corpus))):
        charts = [chart for section in page.sections for chart in section.charts]
        if charts and any(charts[0].data["value"].to_pylist()) and (drawn := png(charts[0])):
            found[name] = drawn
    return found


def leaks_image(rates: pa.Table) -> bytes | None:
    """Draw the benchmarks that share most images with a subset, as bars with their intervals.

    Args:
        rates: table of `contamination.images.RATES_SCHEMA`, one row per benchmark.

    Returns:
        PNG of less than `MAX_BYTES` bytes. None if no benchmark shares an image, or vl_convert is not installed.
    """
    if not is_installed("vl_convert"):
        return None
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
    return _draw(spec, rows[:NAMES]) if rows else None


def png(chart: Chart) -> bytes | None:
    """Draw a heat map in light colors and with its initial choices.

    Args:
        chart: a heat map of the site, with the largest shares first in its data.

    Returns:
        PNG of less than `MAX_BYTES` bytes, of at most `NAMES` rows and columns; None if it would be larger.

    Raises:
        ConfigError: vl_convert is not installed.
    """
    # Most cells of a heat map are 0: drawn as the background, they cost nothing.
    rows = [row for row in chart.data.to_pylist() if row.get("value") != 0]
    encoding = dict(chart.spec["encoding"])
    for axis in ("x", "y"):
        shown = set(list(dict.fromkeys(row[encoding[axis]["field"]] for row in rows))[:NAMES])
        domain = encoding[axis]["scale"]["domain"]
        if len(domain) > NAMES:
            encoding[axis] = {**encoding[axis], "scale": {"domain": [name for name in domain if name in shown]}}
            rows = [row for row in rows if row[encoding[axis]["field"]] in shown]
    return _draw({**chart.spec, "encoding": encoding, "view": {"fill": "$empty", "stroke": None}}, rows)


def _draw(spec: Spec, rows: list[dict[str, Any]]) -> bytes | None:
    vl_convert = require_extra("vl_convert", "reports")
    from PIL import Image

    spec = _resolve_colors({**spec, "background": "$paper", "data": {"values": rows}}, _light_colors())
    drawn = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec)))
    stream = io.BytesIO()
    drawn.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    content = stream.getvalue()
    return content if len(content) < MAX_BYTES else None


def _light_colors() -> dict[str, str]:
    """Return the light colors of the pages by name; the dark ones come later in the style sheets."""
    colors: dict[str, str] = {}
    for sheet in ("page.css", "site.css"):
        for name, value in _COLOR.findall(read_template(sheet).partition("@media (prefers-color-scheme: dark)")[0]):
            colors.setdefault(name, value)
    return colors


def _resolve_colors(value: Any, colors: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("$"):
        return colors[value[1:]]
    if isinstance(value, list):
        return [_resolve_colors(each, colors) for each in value]
    if isinstance(value, dict):
        return {key: _resolve_colors(each, colors) for key, each in value.items()}
    return value
