"""The command `visdiv select`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, arrow_rows, echo_note, echo_tables, format_option, write_parquet
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.curation.selection.compare_methods import MethodComparison
    from visdiv_assets.publishing.row_formats import Rows

#: Rows that are printed if no file is written.
ROWS_SHOWN = 20

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)

EXAMPLES = """\
\b
Examples:
  visdiv select semdedup --fraction 0.8 --out kept.parquet
  visdiv select k_center --k 1000 --subset birds
  visdiv select semdedup --epsilon 0.05 --clusters 100
  visdiv select metaclip --fraction 0.5 --concepts words.txt
  visdiv select --compare --fraction 0.5
  visdiv select --compare k_center wfpp text_overlap --fraction 0.5
"""


@click.command(epilog=EXAMPLES)
@click.argument("methods", nargs=-1, metavar="METHOD...")
@click.option("--k", "count", type=click.IntRange(1), help="Number of rows to select.")
@click.option("--fraction", type=click.FloatRange(0, 1, min_open=True), help="Fraction of rows to select (0-1].")
@click.option("--threshold", type=float, metavar="SCORE", help="Select all rows with this score or a better one.")
@click.option(
    "--epsilon", type=click.FloatRange(0, 1), help="semdedup: select rows with a similarity up to 1 - EPSILON."
)
@click.option("--clusters", type=click.IntRange(1), help="semdedup, clip_cov: number of k-means clusters.")
@click.option("--classes", type=_FILE, metavar="FILE", help="clip_cov: file with one class name per line.")
@click.option("--concepts", type=_FILE, metavar="FILE", help="metaclip: file with one word or phrase per line.")
@click.option("--tail-share", type=click.FloatRange(0, 1), help="metaclip: share of all matches in rare concepts.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the methods that draw or cluster.")
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Select from this subset only (repeatable).")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Parquet file to write the selected rows to."
)
@click.option("--compare", is_flag=True, help="Compare what several methods select.")
@format_option
@pass_settings
def select(
    settings: Settings,
    methods: tuple[str, ...],
    count: int | None,
    fraction: float | None,
    threshold: float | None,
    epsilon: float | None,
    clusters: int | None,
    classes: Path | None,
    concepts: Path | None,
    tail_share: float | None,
    seed: int | None,
    subsets: tuple[str, ...],
    out: Path | None,
    compare: bool,
    form: Form,
) -> None:
    """Select rows by a published method, or compare methods.

    METHOD is one of:

    - semdedup, conformity, whitened_clip or clip_score, which use stored scores and need CLIP vectors

    - clip_cov or clippings, which need CLIP vectors of images and texts

    - number_masked, which also needs the CLIP weights: CLIPScore of the texts without their numbers

    - k_center or k_means_plus_plus, which use CLIP vectors, or SSCD vectors if there are no CLIP vectors

    - wfpp or metaclip, which use texts only

    - text_overlap, which selects the rows with the least benchmark text first

    The result has the columns subset, row and score, best rows first; a file also has the image_ids of each row and the
    source_revision of its subset, by which the row is found again after files were added. Of rows with the same score
    at the cut, a random sample with a fixed seed is selected; --threshold selects all of them or none. No data is
    changed. With --compare, give several methods, or none to compare all that can be computed.

    Each method has the parameters of its paper by default. With --clusters or --seed, semdedup compares the first image
    of each row, by CLIP or SSCD. clip_cov clusters the images, or takes --classes as zero-shot classes.

    To restrict the clean copy to the selected rows, set VISDIV_KEEP_ROWS to the file written by --out, or set
    VISDIV_KEEP_BY and VISDIV_KEEP_FRACTION for a method with stored scores.
    """
    from visdiv_assets.curation.selection.compare_methods import compare_methods
    from visdiv_assets.curation.selection.options import Options
    from visdiv_assets.curation.selection.row_identity import identify_rows
    from visdiv_assets.curation.selection.select import Wanted, describe_preference, select_rows
    from visdiv_assets.wiring import open_lake, text_models

    lake, models = open_lake(settings), text_models(settings)
    options = Options(concepts, tail_share, epsilon, clusters, classes, seed)
    if compare:
        if options != Options():
            raise click.UsageError("--compare compares methods with their defaults: leave out the options of methods")
        if count or out or fraction is None or threshold is not None:
            raise click.UsageError(
                "--compare requires --fraction and cannot be combined with --k, --threshold or --out"
            )
        compared = compare_methods(lake, methods, subsets, fraction, models)
        echo_tables(form, *_comparison(compared))
        for method, reason in compared.left_out.items():
            echo_note(form, f"{method} was left out: {reason}")
        return
    if len(methods) != 1 or [count, fraction, threshold, epsilon].count(None) != 3:
        raise click.UsageError("name one method and one of --k, --fraction, --threshold and --epsilon, or --compare")
    (method,) = methods
    selected = select_rows(lake, method, subsets, Wanted(count, fraction, threshold), options, models)
    chosen = selected.rows
    echo_note(form, f"{chosen.num_rows} rows, {describe_preference(method)}.")
    if selected.tied_chosen < selected.tied:
        score = f"{chosen['score'][-1].as_py():.9g}"
        echo_note(
            form,
            f"{selected.tied} rows share the score at the cut, {score}: {selected.tied_chosen} of them were drawn at "
            f"random. --threshold {score} selects all of them.",
        )
    if out:
        write_parquet(identify_rows(lake, chosen), out)
        echo_note(form, f"They were written to {out}.")
    else:
        shown = chosen.slice(0, ROWS_SHOWN) if form == "text" else chosen
        echo_tables(form, arrow_rows("selected", shown, floats=".4g"))
        if shown.num_rows < chosen.num_rows:
            click.echo(f"(the first {ROWS_SHOWN} rows; --out FILE, or --format csv, gives all)")


def _comparison(tables: MethodComparison) -> list[Rows]:
    scores = tables.diversity.select(["method", "images", *_SCORES])
    parts = (
        ("shares", "Fraction of each subset that each method selects", tables.shares),
        ("overlaps", "Agreement of each pair of methods", tables.overlaps),
        ("diversity", f"Diversity of the selected rows, by {tables.judged_by} vectors", scores),
    )
    return [arrow_rows(name, part, title=title, floats=".4g") for name, title, part in parts]


_SCORES = ("effective_rank", "participation_ratio", "vendi", "score")
