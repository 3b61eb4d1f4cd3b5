"""The command `visdiv worklist`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings
from visdiv_assets.wording import several

if TYPE_CHECKING:
    from visdiv_assets.curation.worklist import Task

#: Turns that are printed as text.
SHOWN = 20

EXAMPLES = """\
\b
Examples:
  visdiv worklist
  visdiv worklist --words 3 --no-duplicates --out rewrite.jsonl
  visdiv worklist --task hard_negative --limit 500 --out negatives.jsonl
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--task",
    type=click.Choice(["rewrite", "hard_negative"]),
    default="rewrite",
    show_default=True,
    help="What is asked for: a better answer, or one that is wrong in one detail.",
)
@click.option(
    "--clip-share",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share of the rows of each subset, of the lowest CLIPScore, that are listed.",
)
@click.option("--words", type=click.IntRange(0), default=2, show_default=True, help="Most words of a short answer.")
@click.option(
    "--duplicates/--no-duplicates", default=True, show_default=True, help="Whether to list turns that repeat another."
)
@click.option("--subset", "subsets", multiple=True, metavar="SUBSET", help="List turns of this subset only.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most turns to list.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="JSON Lines file to write requests to.")
@format_option
@pass_settings
def worklist(
    settings: Settings,
    task: str,
    clip_share: float,
    words: int,
    duplicates: bool,
    subsets: tuple[str, ...],
    limit: int,
    out: Path | None,
    form: Form,
) -> None:
    """List turns worth rewriting, and write requests for it in OpenAI's batch format.

    A turn is listed if the CLIPScore of its row is among the lowest of its subset, its answer is short or empty, or its
    question and answer repeat those of another turn. Turns with the most reasons come first. --out writes one request
    per turn, with its texts and the images of its row, for the model VISDIV_JUDGE_MODEL. Nothing is sent: give the file
    to the batch interface of the endpoint. custom_id is task/subset/row/turn. No data is changed.
    """
    from visdiv_assets.publishing.row_formats import Rows
    from visdiv_assets.publishing.warehouse.worklist import find_turns

    found = find_turns(
        Path(settings.warehouse_path),
        clip_share=clip_share,
        words=words,
        duplicates=duplicates,
        subsets=subsets,
        limit=limit,
    )
    shown = found.values[:SHOWN] if form == "text" else found.values
    echo_tables(form, Rows("turns", found.columns, shown, floats=".3f"))
    rest = f"; the first {SHOWN} are shown" if len(shown) < len(found.values) else ""
    echo_note(form, f"\n{several(len(found.values), 'turn is', 'turns are')} listed{rest}.")
    if out:
        _write(settings, cast("Task", task), [(str(row[0]), int(row[1]), int(row[2])) for row in found.values], out)
        echo_note(form, f"Their requests were written to {out}.")


def _write(settings: Settings, task: Task, turns: list[tuple[str, int, int]], out: Path) -> None:
    from visdiv_assets.curation.worklist import WorkItem, worklist_lines
    from visdiv_assets.progress import progress
    from visdiv_assets.publishing.warehouse.worklist import require_published
    from visdiv_assets.storage.error_messages import write_error
    from visdiv_assets.storage.files import replace_local
    from visdiv_assets.wiring import open_lake, open_source

    if not settings.judge_model:
        raise ConfigError("the requests name no model: set VISDIV_JUDGE_MODEL")
    lake = open_lake(settings)
    require_published(Path(settings.warehouse_path), lake, {subset for subset, _, _ in turns})
    lines = worklist_lines(
        lake,
        open_source(settings),
        [WorkItem(*turn) for turn in turns],
        task=task,
        model=settings.judge_model,
        limits=settings.decode_limits,
    )
    try:
        with replace_local(out) as stream, progress("writing requests", len(turns), "turn") as advance:
            for line in lines:
                stream.write(line)
                advance(1)
    except OSError as error:
        raise write_error(str(out), error) from error
