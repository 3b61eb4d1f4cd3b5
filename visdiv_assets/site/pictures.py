"""Charts of the site as pictures, for Dagster's metadata."""

from __future__ import annotations

import io
import re
from typing import Any

from visdiv_assets.reports.files import read_template
from visdiv_assets.site import contamination, overlap
from visdiv_assets.site.corpus import Corpus
from visdiv_assets.site.parts import Chart

#: Bytes of a picture that the UI still shows quickly: 185 subsets by 66 benchmarks take 110,000.
LARGEST = 150_000
#: Few colours make a small file, and a heat map has few.
COLOURS = 32

_COLOUR = re.compile(r"--([a-z0-9]+): (#[0-9a-f]{6})")


def corpus_pictures(corpus: Corpus) -> dict[str, bytes]:
    """The heat maps of contamination and overlap, by name; without those that have nothing but 0, or are too large."""
    found = {}
    for name, page in (("contamination", contamination.page(corpus)), ("overlap", overlap.page(corpus))):
        charts = [chart for section in page.sections for chart in section.charts]
        if charts and any(charts[0].data["value"].to_pylist()) and (drawn := png(charts[0])):
            found[name] = drawn
    return found


def png(chart: Chart) -> bytes | None:
    """Draw a chart in its light colours, as it is before anything is chosen or pointed at.

    Args:
        chart: one of the site's.

    Returns:
        PNG of less than `LARGEST` bytes; None if it would be larger, as of very many subsets.
    """
    import vl_convert
    from PIL import Image

    colours = _light()
    # Most cells of a heat map are 0: as its ground they cost nothing.
    rows = [row for row in chart.data.to_pylist() if row.get("value") != 0]
    spec = {**_coloured(chart.spec, colours), "background": colours["paper"], "data": {"values": rows}}
    if "view" in spec:
        spec["view"] = {"fill": colours["empty"], "stroke": None}
    drawn = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec)))
    stream = io.BytesIO()
    drawn.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    content = stream.getvalue()
    return content if len(content) < LARGEST else None


def _light() -> dict[str, str]:
    """The page's colours by name; the dark ones come later in its style sheets."""
    colours: dict[str, str] = {}
    for sheet in ("page.css", "site.css"):
        for name, value in _COLOUR.findall(read_template(sheet).partition("@media (prefers-color-scheme: dark)")[0]):
            colours.setdefault(name, value)
    return colours


def _coloured(value: Any, colours: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("$"):
        return colours[value[1:]]
    if isinstance(value, list):
        return [_coloured(each, colours) for each in value]
    if isinstance(value, dict):
        return {key: _coloured(each, colours) for key, each in value.items()}
    return value
