"""The command `visdiv show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import terminal_width
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.publishing.row_view import RowView

#: Rows of a table, and characters of a text, that are printed; the page and JSON have more.
ROWS_PRINTED, TEXT_PRINTED = 20, 2_000

EXAMPLES = """\
\b
Examples:
  visdiv show clipart_people 12
  visdiv show clipart_people 12 --open           open a page with the images in the browser
  visdiv show clipart_bench 3                    a row of a benchmark
  visdiv show clipart_people 12 --format json    print it as one JSON object
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="SUBSET")
@click.argument("row", type=click.IntRange(min=0))
@click.option("--image", type=click.IntRange(min=0), metavar="INDEX", help="Show only this image of the row.")
@click.option("--benchmark", is_flag=True, help="SUBSET is the name of a benchmark, even if a subset has it, too.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="HTML page to write as well.")
@click.option("--open", "opens", is_flag=True, help="Write an HTML page and open it in the browser.")
@pass_settings
def show(
    settings: Settings,
    name: str,
    row: int,
    image: int | None,
    benchmark: bool,
    form: str,
    html: Path | None,
    opens: bool,
) -> None:
    """Show everything that is known of a row of a subset or benchmark.

    That is where it is, its images and texts, ratings and scores, close images with their verdicts, what it shares with
    benchmarks, and whether a clean copy keeps it. ROW counts from 0, as in all tables. --open without --html writes to
    the folder reports/rows under VISDIV_DATA.
    """
    from visdiv_assets.publishing.row_view import collect_row, write_row_page
    from visdiv_assets.publishing.site.report_data import open_report_data
    from visdiv_assets.wiring import open_lake, open_source

    lake = open_lake(settings)
    with open_report_data(Path(settings.warehouse_path)) as warehouse:
        view = collect_row(warehouse, lake, name, row, image=image, benchmark=benchmark)
    click.echo(_json(view) if form == "json" else _text(view))
    if html or opens:
        from visdiv_assets.corpus.image_lookup import ImageReader
        from visdiv_assets.storage.files import escape

        path = html or settings.reports_folder / "rows" / f"{escape(name)}-{row}.html"
        write_row_page(view, ImageReader(lake, lambda: open_source(settings), settings.decode_limits), path)
        click.echo(f"It is shown in {path}.", err=form == "json")
        if opens:
            click.launch(path.absolute().as_uri())


def _json(view: RowView) -> str:
    import dataclasses
    import json
    import math

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(dataclasses.asdict(view)), ensure_ascii=False, indent=2, default=str)


def _text(view: RowView) -> str:
    from visdiv_assets.errors import printable
    from visdiv_assets.publishing.row_view.page import describe_decision, describe_ratings

    lines = [printable(f"{view.kind} {view.name}, row {view.row}"), printable(describe_decision(view))]
    if view.file is not None:
        lines.append(printable(f"in {view.file}" + ("" if view.row_in_file is None else f", row {view.row_in_file}")))
    shown = ("image_index", "status", "format", "width", "height", "size_bytes", "quality_issues", "path", "detail")
    lines += _table("Images", [_chosen(record, shown) for record in view.images])
    for image in view.images:
        measured = ", ".join(f"{name} {_number(image[name])}" for name in image if name in _MEASURES)
        lines += [f"  image {image['image_index']}: {measured}"] if measured else []
    for turn in view.turns:
        ratings = describe_ratings(turn)
        lines += ["", f"Turn {turn['turn']}" + (f" ({ratings})" if ratings else "")]
        lines += [f"  question: {_excerpt(turn['user'])}", f"  answer: {_excerpt(turn['assistant'])}"]
    lines += ["", "Texts", *(f"  {_excerpt(text)}" for text in view.strings)] if view.strings else []
    lines += _table("Scores", [{name: _number(value) for name, value in view.scores.items()}] if view.scores else [])
    keeper = ("image_index", "reason", "keeper_subset", "keeper_row", "keeper_image_index", "similarity", "evidence")
    lines += _table("Copies", [_chosen(record, keeper) for record in view.copies])
    pair = ("image_index", "subset", "row", "other_image_index", "verdict", "evidence", "similarity", "confidence")
    lines += _table(f"Close images in subsets ({view.pairs_total})", [_chosen(each, pair) for each in view.pairs])
    leak = ("benchmark", "benchmark_row", "benchmark_image_index", *pair)
    lines += _table("Contamination", [_chosen(each, [name for name in leak if name in each]) for each in view.leaks])
    lines += _table("Texts of benchmarks", view.text_overlaps)
    return "\n".join(lines)


#: Quality columns of an image.
_MEASURES = (
    "brightness",
    "contrast",
    "entropy",
    "sharpness",
    "grayscale",
    "colors",
    "low_information",
    "background_similarity",
)


def _number(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _chosen(record: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    found = {name: record.get(name) for name in names}
    return {name: ", ".join(value) if isinstance(value, list) else value for name, value in found.items()}


def _table(heading: str, records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table without its empty columns; none without records."""
    from visdiv_assets.publishing.row_formats import Rows, as_text

    if not records:
        return []
    used = [name for name in records[0] if any(record.get(name) not in (None, "") for record in records)]
    values = [[record.get(name) for name in used] for record in records[:ROWS_PRINTED]]
    more = len(records) - len(values)
    table = as_text(Rows(heading, used, values, floats=".3f"), terminal_width())
    return ["", heading, table, *([f"... and {more} more"] if more else [])]


def _excerpt(text: str | None) -> str:
    from visdiv_assets.errors import printable

    if not text:
        return "(none)"
    cut = printable(text[:TEXT_PRINTED])
    return cut if len(text) <= TEXT_PRINTED else f"{cut}… ({len(text):,} characters)"
