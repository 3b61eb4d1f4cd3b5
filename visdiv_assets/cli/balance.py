"""The command `visdiv balance`."""

from __future__ import annotations

from pathlib import Path

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, arrow_rows, echo_note, echo_tables, format_option, write_parquet
from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import Settings

#: Bias above which a note says that no weights are balanced.
BALANCED = 1e-4

EXAMPLES = """\
\b
Examples:
  visdiv balance "SELECT subset, row, grayscale, width < 200 AS small FROM images WHERE image_index = 0" \\
    --attribute grayscale=0.2 --out weights.parquet
"""


@click.command(epilog=EXAMPLES)
@click.argument("sql")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    required=True,
    metavar="NAME[=SHARE]",
    help="Column to balance, with the share of rows that should have it; default: its present share (repeatable).",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Mean weight: the share of the rows that a draw by the weights keeps.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Parquet file to write the weights of the rows to."
)
@format_option
@pass_settings
def balance(
    settings: Settings, sql: str, attributes: tuple[str, ...], rate: float, out: Path | None, form: Form
) -> None:
    """Find weights of rows that balance attributes, and make them independent of other columns (M4).

    SQL is a query of the published DuckDB file with the columns subset, row and any number of columns of true or false.
    Those named by --attribute get their shares; all others are labels, which no attribute should go with. The table
    printed has the bias of each attribute, and of each attribute and label, before and after: the mean of
    weight * (attribute - share) * label over the mean weight. The weights are probabilities of keeping a row, and as
    close to equal as they can be.
    """
    from visdiv_assets.curation.selection.attribute_balance import balance_attributes
    from visdiv_assets.publishing.warehouse.query import query_flags

    shares = dict(map(_parse, attributes))
    rows, flags = query_flags(Path(settings.warehouse_path), sql)
    if missing := [name for name in shares if name not in flags]:
        raise ConfigError(f"the query has no column {missing[0]!r} of true or false: it has {', '.join(flags)}")
    labels = [name for name in flags if name not in shares]
    import numpy as np

    s = np.stack([flags[name] for name in shares], axis=1)
    y = np.stack([flags[name] for name in labels], axis=1) if labels else np.zeros((len(s), 0), bool)
    present = s.mean(axis=0) if len(s) else np.zeros(len(shares))
    targets = np.array([present[index] if share is None else share for index, share in enumerate(shares.values())])
    found = balance_attributes(s, y, names=(list(shares), labels), targets=targets, rate=rate)
    echo_tables(form, arrow_rows("bias", found.bias, floats=".4f"))
    if found.worst > BALANCED:
        worst = f"the largest bias that remains is {found.worst:.4f}"
        echo_note(form, f"No weights balance everything: {worst}. Try a lower --rate.")
    if out:
        write_parquet(rows.append_column("weight", [found.weights]), out)
        echo_note(form, f"The weights of {rows.num_rows} rows were written to {out}.")


def _parse(value: str) -> tuple[str, float | None]:
    name, mark, share = value.partition("=")
    try:
        return name, float(share) if mark else None
    except ValueError:
        raise click.UsageError(f"{value!r} has no share after =: give a number from 0 to 1") from None
