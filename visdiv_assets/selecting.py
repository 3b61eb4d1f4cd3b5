"""The command `visdiv select`: the rows that a published method would train on, and how the methods compare.

Belongs here: its arguments, what is printed, and the file. Does not: the methods (`selection`), or what they are given
(`curation.chosen`, `curation.selection_scores`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from visdiv_assets.errors import VisdivError
from visdiv_assets.settings import load_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from visdiv_assets.storage.lake import Lake

#: Rows that the terminal shows where no file is written.
ROWS_SHOWN = 20

EXAMPLES = """\
\b
Examples:
  visdiv select semdedup --fraction 0.8 --out kept.parquet
  visdiv select k_center --k 1000 --subset birds
  visdiv select --compare --fraction 0.5
"""


@click.command(epilog=EXAMPLES)
@click.argument("method", required=False)
@click.option("--k", "count", type=click.IntRange(1), help="So many rows.")
@click.option("--fraction", type=click.FloatRange(0, 1, min_open=True), help="Such a share of the rows.")
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Only of this one; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to this Parquet file.")
@click.option("--compare", is_flag=True, help="Show what all methods with stored scores keep, side by side.")
def select(
    method: str | None,
    count: int | None,
    fraction: float | None,
    subsets: tuple[str, ...],
    out: Path | None,
    compare: bool,
) -> None:
    """Choose rows by a published method: subset, row and score, the best first. Nothing is changed.

    METHOD is one of semdedup, conformity, whitened_clip, clip_score (stored scores, which need CLIP vectors), clip_cov
    (CLIP vectors), k_center, k_means_plus_plus (CLIP vectors, else SSCD's), wfpp, metaclip (texts alone). To leave the
    others out of a clean copy set VISDIV_KEEP_BY and VISDIV_KEEP_FRACTION.
    """
    from visdiv_assets import sources
    from visdiv_assets.curation.chosen import chosen_rows, keeps_what
    from visdiv_assets.storage.lake import Lake

    settings = load_settings()
    lake = Lake(settings.lake_root)
    if compare:
        if method or count or out or fraction is None:
            raise click.UsageError("--compare takes --fraction, and perhaps --subset, alone")
        click.echo(compared(lake, subsets, fraction))
        return
    if not method or (count is None) == (fraction is None):
        raise click.UsageError("name a method and either --k or --fraction, or --compare")
    source = sources.from_settings(settings)
    chosen = chosen_rows(lake, source, method, subsets, count=count, fraction=fraction)
    click.echo(f"{chosen.num_rows} rows, kept first: {keeps_what(method)}.")
    if out:
        _write(chosen, out)
        click.echo(f"They are in {out}.")
    else:
        click.echo(_text(chosen.slice(0, ROWS_SHOWN)))


def compared(lake: Lake, subsets: tuple[str, ...], fraction: float) -> str:
    """What each method with stored scores keeps of the same share: by subset, of each other, and how diverse.

    Compared are rows that all of them can judge; methods that can judge none are left out.

    Raises:
        VisdivError: there are no scores.
    """
    from visdiv_assets.curation.chosen import STORED, first_pictures, stored_scores
    from visdiv_assets.curation.selection_scores import best_share
    from visdiv_assets.selection.compare import diversity_before_and_after, overlaps, share_per_subset
    from visdiv_assets.storage.arrays import RowsOf

    table = stored_scores(lake, subsets)
    names = [name for name in STORED if table[name].null_count < table.num_rows]
    scored = table.select(["subset", "row", *names]).drop_null()
    if not scored.num_rows:
        raise VisdivError("no row has a score by all of the methods: there may be no texts, or no pictures")
    kept = {name: best_share(scored, name, fraction) for name in names}
    chosen = sorted(set(scored["subset"].to_pylist()))
    rows, vectors = first_pictures(lake, "clip_image_embeddings", chosen)
    place = {key: number for number, key in enumerate(zip(rows.subset.to_pylist(), rows.row.tolist(), strict=True))}
    keys = zip(scored["subset"].to_pylist(), scored["row"].to_pylist(), strict=True)
    numbers = np.array([place[key] for key in keys], np.int64)
    diversity = diversity_before_and_after(kept, RowsOf(vectors, numbers))
    parts = (
        ("What each method keeps of each subset", share_per_subset(kept, scored["subset"].combine_chunks())),
        ("How far each two agree", overlaps(kept)),
        ("How diverse what they keep is, by CLIP", diversity.select(["method", "images", *_SCORES])),
    )
    return "\n\n".join(f"{title}\n{_text(part)}" for title, part in parts)


_SCORES = ("effective_rank", "participation_ratio", "vendi", "score")


def _write(chosen: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    from visdiv_assets.storage.files import replace_local, writing_failed

    try:
        with replace_local(path) as stream:
            pq.write_table(chosen, stream)
    except OSError as error:
        raise writing_failed(str(path), error) from error


def _text(table: pa.Table) -> str:
    from tabulate import tabulate

    texts = [number for number, field in enumerate(table.schema) if str(field.type) == "string"]
    rows = [list(record.values()) for record in table.to_pylist()]
    # Left alone, tabulate shows a subset named 1e3 as 1000.
    return tabulate(rows, table.column_names, "simple", floatfmt=".4g", disable_numparse=texts if rows else False)
