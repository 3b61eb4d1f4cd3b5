"""The command `visdiv concepts`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, arrow_rows, echo_note, echo_tables, format_option
from visdiv_assets.settings import Settings
from visdiv_assets.wording import several

#: Concepts that are printed as text.
SHOWN = 20

EXAMPLES = """\
\b
Examples:
  visdiv concepts
  visdiv concepts --concepts words.txt --tail-share 0.1
  visdiv concepts --format csv > concepts.csv
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--concepts",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="File with one word or phrase per line; default: frequent words and word pairs of the texts.",
)
@click.option("--tail-share", type=click.FloatRange(0, 1), help="Share of all matches that make up the tail; 0.06.")
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="Count in this subset only (repeatable).")
@format_option
@pass_settings
def concepts(
    settings: Settings, file: Path | None, tail_share: float | None, subsets: tuple[str, ...], form: Form
) -> None:
    """Count how often concepts occur in the texts, and how much of each subset is about rare ones.

    A concept is a word or phrase; it matches whole words, as in MetaCLIP. The texts of a row count as one. A concept is
    in the tail if at most t texts have it, where t is MetaCLIP's threshold: concepts up to it make up --tail-share of
    all matches. As text, the most frequent concepts are printed; the other formats have all of them.
    """
    from visdiv_assets.curation.selection.concept_frequencies import concept_frequencies
    from visdiv_assets.curation.selection.options import TAIL_SHARE
    from visdiv_assets.curation.selection.row_texts import concept_matcher, texts_of
    from visdiv_assets.progress import progress
    from visdiv_assets.wiring import open_lake

    texts = texts_of(open_lake(settings), subsets)
    matcher = concept_matcher(file, list(texts.values()))
    rows = sum(each.rows for each in texts.values())
    with progress("matching concepts", rows, "row") as advance:
        share = TAIL_SHARE if tail_share is None else tail_share
        found = concept_frequencies(matcher, texts, tail_share=share, progress=advance)
    listed = found.concepts.slice(0, SHOWN) if form == "text" else found.concepts
    echo_tables(
        form,
        arrow_rows("concepts", listed, title="Most frequent concepts", floats=".4f"),
        arrow_rows("subsets", found.subsets, title="Rare concepts by subset", floats=".4f"),
    )
    counts = found.concepts["texts"].to_numpy()
    occur, tail = int((counts > 0).sum()), int(((counts > 0) & (counts <= found.threshold)).sum())
    echo_note(
        form,
        f"\n{occur} of {several(len(counts), 'concept')} found; {several(tail, 'is', 'are')} in the tail, t = "
        f"{several(found.threshold, 'row')}.",
    )
