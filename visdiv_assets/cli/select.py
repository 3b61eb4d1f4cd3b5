"""The command `visdiv select`: the rows that a published method would train on, and how the methods compare.

Belongs here: its arguments, what is printed, and the file. Does not: the methods (`selection`), or what they are given
(`curation.chosen`, `curation.selection_scores`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from visdiv_assets.settings import load_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from visdiv_assets.curation.selection.compare_methods import MethodComparison

#: Rows that the terminal shows where no file is written.
ROWS_SHOWN = 20

EXAMPLES = """\
\b
Examples:
  visdiv select semdedup --fraction 0.8 --out kept.parquet
  visdiv select k_center --k 1000 --subset birds
  visdiv select --compare --fraction 0.5
  visdiv select --compare k_center wfpp text_overlap --fraction 0.5
"""


@click.command(epilog=EXAMPLES)
@click.argument("methods", nargs=-1, metavar="METHOD...")
@click.option("--k", "count", type=click.IntRange(1), help="So many rows.")
@click.option("--fraction", type=click.FloatRange(0, 1, min_open=True), help="Such a share of the rows.")
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Only of this one; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this Parquet file.")
@click.option("--compare", is_flag=True, help="Show what several methods keep, side by side.")
def select(
    methods: tuple[str, ...],
    count: int | None,
    fraction: float | None,
    subsets: tuple[str, ...],
    out: Path | None,
    compare: bool,
) -> None:
    """Choose rows by a published method: subset, row and score, the best first. Nothing is changed.

    METHOD is one of semdedup, conformity, whitened_clip, clip_score (stored scores, which need CLIP vectors), clip_cov,
    clippings (CLIP vectors of images and texts), k_center, k_means_plus_plus (CLIP vectors, else SSCD's), wfpp,
    metaclip (texts alone), text_overlap (least of the benchmarks' texts first). With --compare, several, or those
    that the data allow. To leave the other rows out of a clean copy, set VISDIV_KEEP_ROWS to the file that --out
    writes, or VISDIV_KEEP_BY and VISDIV_KEEP_FRACTION to a method with stored scores.
    """
    from visdiv_assets.curation.selection.compare_methods import compare_methods
    from visdiv_assets.curation.selection.select import describe_preference, select_rows
    from visdiv_assets.wiring import open_lake, open_source

    settings = load_settings()
    lake = open_lake(settings)
    source = open_source(settings)
    if compare:
        if count or out or fraction is None:
            raise click.UsageError("--compare takes methods, --fraction, and perhaps --subset, alone")
        click.echo(_comparison(compare_methods(lake, source, methods, subsets, fraction)))
        return
    if len(methods) != 1 or (count is None) == (fraction is None):
        raise click.UsageError("name one method and either --k or --fraction, or --compare")
    (method,) = methods
    chosen = select_rows(lake, source, method, subsets, count=count, fraction=fraction)
    click.echo(f"{chosen.num_rows} rows, kept first: {describe_preference(method)}.")
    if out:
        _write(chosen, out)
        click.echo(f"They are in {out}.")
    else:
        click.echo(_text(chosen.slice(0, ROWS_SHOWN)))


def _comparison(tables: MethodComparison) -> str:
    parts = (
        ("What each method keeps of each subset", tables.shares),
        ("How far each two agree", tables.overlaps),
        ("How diverse what they keep is", tables.diversity.select(["method", "images", *_SCORES])),
    )
    return "\n\n".join(f"{title}\n{_text(part)}" for title, part in parts)


_SCORES = ("effective_rank", "participation_ratio", "vendi", "score")


def _write(chosen: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local

    try:
        with replace_local(path) as stream:
            pq.write_table(chosen, stream)
    except OSError as error:
        raise write_error(str(path), error) from error


def _text(table: pa.Table) -> str:
    from tabulate import tabulate

    texts = [number for number, field in enumerate(table.schema) if str(field.type) == "string"]
    rows = [list(record.values()) for record in table.to_pylist()]
    # Left alone, tabulate shows a subset named 1e3 as 1000.
    return tabulate(rows, table.column_names, "simple", floatfmt=".4g", disable_numparse=texts if rows else False)
