"""The command `visdiv mixture`.

Belongs here: its arguments, and what is printed. Does not: how the best weights are found (`diversity.mixture`).
"""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.diversity.mixture import OBJECTIVES
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import load_settings


@click.command()
@click.option("--budget", type=click.IntRange(min=0), default=0, help="Rows of the mixture; 0: shares alone.")
@click.option(
    "--repeats",
    type=click.FloatRange(min=1),
    default=1.0,
    show_default=True,
    help="How often a row may be used within the budget.",
)
@click.option(
    "--bounds",
    "bounds_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file with the columns subset, lower, upper: smallest and largest shares of rows.",
)
@click.option("--objective", type=click.Choice(OBJECTIVES), default="effective_rank", show_default=True)
def mixture(budget: int, repeats: float, bounds_file: Path | None, objective: str) -> None:
    """Find how much of each materialized subset makes the most diverse mixture.

    A row counts once, however many images it holds; rows without images take no part. The scores are uncentered, so
    that nothing can exceed the certified bound; effective_rank and vendi are the same then. Writes the table
    mixture_weights.
    """
    settings = load_settings()
    from tabulate import tabulate

    from visdiv_assets.corpus.access import present_partitions
    from visdiv_assets.diversity.mixture_budget import WEIGHTS_SCHEMA, plan, read_bounds, weights_table
    from visdiv_assets.diversity.stored import mixed_subsets
    from visdiv_assets.publishing.warehouse.publish import publish, publish_copy
    from visdiv_assets.sources.catalog import category
    from visdiv_assets.storage.manifest import digest_of
    from visdiv_assets.wiring import open_lake, open_source

    lake = present_partitions(open_lake(settings), open_source(settings))
    subsets = mixed_subsets(lake)
    if not subsets:
        raise ConfigError("no subset with images is materialized: run `visdiv run --all` first")
    bounds = read_bounds(bounds_file) if bounds_file else None
    found = plan(subsets, budget=budget, repeats=repeats, bounds=bounds, objective=objective)
    table = weights_table(subsets, found, budget=budget, objective=objective)
    columns = ["subset", "weight", "rows", "rows_available"] if budget else ["subset", "weight", "rows_available"]
    shown = table.select(columns).sort_by([("weight", "descending"), ("subset", "ascending")])
    click.echo(tabulate(shown.to_pylist(), headers="keys", tablefmt="simple", floatfmt=".4f"))
    name = "participation ratio" if objective == "participation_ratio" else "effective rank"
    click.echo(f"\n{name}, uncentered")
    click.echo(f"  this mixture             {found.mixture.score:10.4f}")
    click.echo(f"  no weights exceed        {found.mixture.best_possible:10.4f}")
    click.echo(f"  all subsets alike        {found.uniform:10.4f}")
    click.echo(f"  all rows that there are  {found.present:10.4f}")
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
    publish(lake, settings.warehouse_path, category=category)
    if settings.warehouse_copy:
        publish_copy(settings.warehouse_path, settings.warehouse_copy)
    click.echo(f"\nThe weights are in the table mixture_weights of {settings.warehouse_path}")
