"""The command `visdiv mixture`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, arrow_rows, echo_note, echo_tables, format_option
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.diversity.mixture import OBJECTIVES
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings

EXAMPLES = """\
\b
Examples:
  visdiv mixture
  visdiv mixture --budget 1000000 --repeats 2
  visdiv mixture --bounds bounds.csv --format csv
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--budget",
    type=click.IntRange(min=0),
    default=0,
    help="Total rows in the mixture; 0 (default) reports weights only.",
)
@click.option(
    "--repeats",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="Maximum number of times that the budget uses a row.",
)
@click.option(
    "--bounds",
    "bounds_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file with the columns subset, lower, upper: minimum and maximum weights.",
)
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="effective_rank",
    show_default=True,
    help="Score to maximize.",
)
@format_option
@pass_settings
def mixture(
    settings: Settings, budget: int, repeats: float, bounds_file: Path | None, objective: str, form: Form
) -> None:
    """Find the weights of the subsets that make the most diverse mixture.

    A weight is a fraction of the mixture's rows. A row counts once, regardless of the number of its images; rows
    without images are ignored. Scores are uncentered, because only these have a certified upper bound; effective_rank
    and vendi are then equal. The weights are written to the table mixture_weights, and the scores below them are on
    stderr in other formats than text.
    """
    from visdiv_assets.corpus.access import present_partitions
    from visdiv_assets.diversity.mixture_budget import WEIGHTS_SCHEMA, plan, read_bounds, weights_table
    from visdiv_assets.diversity.stored import mixed_subsets
    from visdiv_assets.publishing.warehouse.publish import publish, publish_copy
    from visdiv_assets.sources.catalog import category
    from visdiv_assets.storage.manifest import digest_of
    from visdiv_assets.wiring import describe_publication, open_lake, open_source

    source = open_source(settings)
    lake = present_partitions(open_lake(settings), source)
    subsets = mixed_subsets(lake)
    if not subsets:
        raise ConfigError("no subset with images is materialized: run `visdiv run --all` first")
    bounds = read_bounds(bounds_file) if bounds_file else None
    found = plan(subsets, budget=budget, repeats=repeats, bounds=bounds, objective=objective)
    table = weights_table(subsets, found, budget=budget, objective=objective)
    columns = ["subset", "weight", "rows", "rows_available"] if budget else ["subset", "weight", "rows_available"]
    shown = table.select(columns).sort_by([("weight", "descending"), ("subset", "ascending")])
    echo_tables(form, arrow_rows("mixture_weights", shown, floats=".4f"))
    name = "participation ratio" if objective == "participation_ratio" else "effective rank"
    echo_note(form, f"\n{name}, uncentered")
    echo_note(form, f"  this mixture             {found.mixture.score:10.4f}")
    echo_note(form, f"  upper bound              {found.mixture.best_possible:10.4f}")
    echo_note(form, f"  equal weights            {found.uniform:10.4f}")
    echo_note(form, f"  all rows as they are     {found.present:10.4f}")
    write = lake.write(
        LakeTable.MIXTURE_WEIGHTS,
        CORPUS_PARTITION,
        code_version="1",
        model_id=subsets[0].moments.model_id,
        settings={"objective": objective, "budget": budget, "repeats": repeats, "bounds": bounds or {}},
    )
    inputs = {"weights": digest_of(table.to_pydict())}
    if not write.reuse("weights", inputs):
        with write.add("weights", inputs) as unit:
            unit.table("weights", table, WEIGHTS_SCHEMA)
    write.commit()
    publish(
        lake,
        settings.warehouse_path,
        category=partial(category, source=source.uri),
        publication=describe_publication(settings).with_source(source),
    )
    if settings.warehouse_copy:
        publish_copy(settings.warehouse_path, settings.warehouse_copy)
    echo_note(form, f"\nThe weights are in the table mixture_weights of {settings.warehouse_path}")
