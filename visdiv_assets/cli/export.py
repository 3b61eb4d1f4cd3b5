"""The command `visdiv export`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings, repeat_options
from visdiv_assets.cli.output import Form, arrow_rows, echo_note, echo_tables, format_option
from visdiv_assets.settings import Settings
from visdiv_assets.wording import several

EXAMPLES = """\
\b
Examples:
  visdiv export --dry-run clean            show what would be dropped, and why
  visdiv export clean
  VISDIV_DROP=unreadable,contaminated visdiv export with_duplicates
  visdiv export --drop-turns clean         without the turns that miss the quality thresholds
  visdiv export --fiftyone images          all images, kept or not, for the FiftyOne app
"""


@click.command(epilog=EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show the number of dropped rows by reason, and write nothing.")
@click.option("--tagged", is_flag=True, help="Write all rows, with columns that say which are kept, and why not.")
@click.option(
    "--fiftyone",
    is_flag=True,
    help="Write all readable images instead, with tags and findings, as a dataset of FiftyOne.",
)
@click.option("--drop-turns", is_flag=True, help="Leave failing turns out of kept rows, as FineVision's loader does.")
@format_option
@pass_settings
def export(
    settings: Settings, folder: Path, dry_run: bool, tagged: bool, fiftyone: bool, drop_turns: bool, form: Form
) -> None:
    """Write a clean copy of all materialized subsets.

    Writes the rows that the asset curated_rows keeps to FOLDER, each subset in the schema of the source. Load them with
    datasets.load_dataset. FOLDER/dropped.parquet lists every dropped row with the reason, and with the image that makes
    the row contaminated or a duplicate. FOLDER/decisions.jsonl lists people's decisions on pairs that were obeyed.
    FOLDER/README.md, a dataset card, and FOLDER/croissant.json repeat what the published findings say of the source:
    sizes, duplicates, contamination, license, limits. The source is never modified.

    With --tagged, all rows are written, with the columns visdiv_kept, visdiv_reason, visdiv_detail, visdiv_witness,
    visdiv_evidence, visdiv_confidence and visdiv_similarity.

    With --drop-turns, turns with a rating below VISDIV_QUALITY_THRESHOLDS are left out of kept rows, with their
    ratings. VISDIV_DROP must have quality, so that each kept row has a turn that passes.

    With --fiftyone, FOLDER becomes a dataset of type fiftyone.types.FiftyOneDataset with a sample for each image of
    each row. Its tags are kept, or the reasons for which the row is dropped, and undecided; its fields are where the
    image is, and the evidence.
    """
    from visdiv_assets.curation.clean_copy import (
        count_personal_data,
        leave_out_turns,
        load_decisions,
        load_person_decisions,
    )
    from visdiv_assets.curation.export import export as write_copy
    from visdiv_assets.curation.export import preview
    from visdiv_assets.progress import progress
    from visdiv_assets.publishing.warehouse.published_facts import read_facts
    from visdiv_assets.wiring import cleaning_rules, open_lake, open_source, quality_filter

    if tagged + fiftyone + drop_turns > 1:
        raise click.UsageError("--tagged, --fiftyone and --drop-turns exclude each other")
    source, lake = open_source(settings), open_lake(settings)
    rules, ratings = cleaning_rules(settings), quality_filter(settings)
    decided = list(load_decisions(lake, source, rules, ratings))
    if drop_turns:
        decided = list(leave_out_turns(lake, source, decided, rules, ratings.thresholds))
    echo_tables(form, arrow_rows("clean_copy", preview(decided)))
    if dry_run:
        option, rows = ("", "the kept rows")
        if tagged or fiftyone:
            option, rows = ("--tagged ", "all rows") if tagged else ("--fiftyone ", "all images")
        elif drop_turns:
            left_out = sum(decision.turns_left_out for decision in decided)
            option, rows = "--drop-turns ", f"the kept rows without {several(left_out, 'failing turn')}"
        command = f"`visdiv export {option}{shlex.quote(str(folder))}`"
        echo_note(form, f"Nothing was written. {repeat_options(command)} writes {rows}.")
        return
    if fiftyone:
        from visdiv_assets.curation.fiftyone_export import count_positions, export_fiftyone

        with progress("exporting", count_positions(lake, decided), "image") as advance:
            made = export_fiftyone(lake, source, decided, folder, progress=advance)
        echo_note(
            form,
            f"{several(made.samples, 'sample')} with {several(made.images, 'different image')} in {folder}; "
            f"{several(made.left_out, 'image')} that cannot be read left out",
        )
        return
    with progress("exporting", sum(decision.version.rows for decision in decided), "row") as advance:
        written = write_copy(
            source,
            decided,
            folder,
            tagged=tagged,
            by_people=load_person_decisions(lake),
            personal=count_personal_data(lake, decided, tagged=tagged),
            facts=read_facts(Path(settings.warehouse_path)),
            progress=advance,
        )
    size = f"{several(written.files, 'file')}, {written.size_bytes / 1e6:.1f} MB, in {folder}"
    dropped = several(written.rows_dropped, "dropped row is", "dropped rows are")
    listed = f"{dropped} listed in {folder / 'dropped.parquet'}"
    if drop_turns:
        listed = f"{several(written.turns_left_out, 'turn')} left out; {listed}"
    if tagged:
        total = written.rows_kept + written.rows_dropped
        echo_note(
            form, f"{several(total, 'row')} in {size}, of which a clean copy keeps {written.rows_kept:,}; {listed}"
        )
    else:
        echo_note(form, f"{several(written.rows_kept, 'row')} in {size}; {listed}")
