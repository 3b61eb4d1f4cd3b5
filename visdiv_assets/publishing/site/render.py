"""Render a page of the site as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.imaging import thumbnails
from visdiv_assets.imaging.thumbnails import Preview, Thumbnail
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.html_files import content_policy, read_template, script_json, template
from visdiv_assets.publishing.site.page_model import Chart, Entry, Grid, Group, Page
from visdiv_assets.publishing.site_head import SiteHead
from visdiv_assets.publishing.text_cells import Cell

#: Name of the file with Vega, Vega-Lite and Vega-Embed, which all pages share.
SCRIPT = "vega.js"

_NAMES = 120

#: Maximum marks of a chart that is drawn as SVG; more are drawn on a canvas, since they make a browser slow.
_SHAPES = 1_000


@dataclass(frozen=True, slots=True)
class _Shown:
    """A cell of a table, for the template."""

    cell: Cell
    link: str
    right: bool
    below: str


@dataclass(frozen=True, slots=True)
class _Image:
    small: Thumbnail
    place: str
    position: str
    note: str


def render(page: Page, head: SiteHead) -> str:
    """Render a page of the site.

    Args:
        page: the page.
        head: what the head says of the dataset, with links to all pages.

    Returns:
        the page. It requests only the script next to it, and all texts in it are escaped.
    """
    groups = [group for section in page.sections for group in section.groups]
    small = thumbnails.thumbnails(image.preview for group in groups for image in group.images)
    styles = {
        "page": read_template("page.css"),
        "site": read_template("site.css"),
        "images": thumbnails.styles(small.values()),
    }
    script = read_template("site.js")
    # A page opened from disk has no origin, so the policy allows the scheme file:. Vega positions its shapes by style
    # attributes, which cannot load anything under this policy.
    policy = content_policy(styles.values(), script).replace("script-src ", "script-src 'self' file: ")
    has_charts = any(section.charts for section in page.sections)
    return template("site.html").render(
        title=page.title,
        head=head,
        introduction=page.introduction,
        sections=page.sections,
        grid=_grid,
        images=lambda group: _images(group, small),
        clean=lambda value: text_cells.clean(value, 5_000),
        data=_chart_data,
        styles=styles,
        script=script,
        vega=SCRIPT if has_charts else "",
        policy=f"{policy}; style-src-attr 'unsafe-inline'",
    )


def _grid(grid: Grid) -> list[list[_Shown]]:
    numeric = [
        any(_is_number(row[column]) for row in grid.rows)
        and not any(isinstance(row[column].value, str) for row in grid.rows)
        for column in range(len(grid.headings))
    ]
    return [[_shown(entry, right) for entry, right in zip(row, numeric, strict=True)] for row in grid.rows]


def _is_number(entry: Entry) -> bool:
    return entry.value is not None and not isinstance(entry.value, str)


def _shown(entry: Entry, right: bool) -> _Shown:
    cell = text_cells.cell(entry.value)
    if entry.shown is not None and cell.text is not None:
        cell = Cell(text_cells.shorten(entry.shown), cell.number)
    return _Shown(cell, entry.link, right, text_cells.clean(entry.below, _NAMES))


def _images(group: Group, small: dict[Preview, Thumbnail]) -> list[_Image]:
    return [
        _Image(
            small[image.preview],
            text_cells.clean(image.place, _NAMES),
            text_cells.position(image),
            text_cells.clean(image.note, _NAMES),
        )
        for image in group.images
    ]


def _chart_data(chart: Chart) -> str:
    """Return the specification and the data as JSON, by column, with each different text once."""
    columns: dict[str, Any] = {}
    for name in chart.data.column_names:
        column = chart.data[name].combine_chunks()
        if pa.types.is_string(column.type):
            coded = column.dictionary_encode()
            levels = [text_cells.clean(level, text_cells.SHOWN) for level in coded.dictionary.to_pylist()]
            columns[name] = {"levels": levels, "codes": pc.fill_null(coded.indices, -1).to_pylist()}
        else:
            columns[name] = column.to_pylist()
    return script_json(
        {"spec": chart.spec, "columns": columns, "rows": chart.data.num_rows, "canvas": chart.data.num_rows > _SHAPES}
    )
