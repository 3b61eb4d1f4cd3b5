"""Plot the table `calibration` for the Dagster UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.calibration.copies import KINDS
from visdiv_assets.duplicates.calibration.rates import CONFIDENCE, VERIFIED
from visdiv_assets.publishing.plots.figures import INK, encode_palette_png, new_figure
from visdiv_assets.statistics import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 900, 1100

_BAR = "#5a8f7b"
_COLOR_MAP = "YlGn"
_DARK = 0.6


def plot(table: pa.Table) -> bytes:
    """Draw recall by kind of copy and rule as a heat map, beside the precision of each rule with its interval.

    Below the precisions, a curve shows precision and recall of the confidences.

    Args:
        table: table of `CALIBRATION_SCHEMA`, not empty.

    Returns:
        PNG, 900 x 1100 pixels, less than 80 kB; the same for the same table and release of matplotlib.

    Raises:
        ValueError: the table has no rows.
        ConfigError: matplotlib is not installed.
    """
    if not table.num_rows:
        raise ValueError("there is nothing to plot: no copies were made")
    rows = [record for record in table.to_pylist() if record["strength"] == ALL]
    floors = [record for record in rows if record["kind"] == ALL and record["rule"] == CONFIDENCE]
    rows = [record for record in rows if record["rule"] != CONFIDENCE]
    whole = [record for record in rows if record["kind"] == ALL]
    figure = new_figure(WIDTH, HEIGHT)
    grid = figure.add_gridspec(2, 2, width_ratios=(2.0, 1), left=0.155, right=0.985, top=0.935, bottom=0.05, wspace=0.3)
    _draw_recall(figure.add_subplot(grid[:, 0]), rows, [_label(record) for record in whole])
    _draw_precision(figure.add_subplot(grid[0, 1]), whole)
    _draw_floors(figure.add_subplot(grid[1, 1]), floors)
    copies, images = whole[0]["copies"], whole[0]["images"]
    figure.suptitle(f"{copies:,} copies of {images:,} images of this subset", fontsize=11, color=INK, y=0.985)
    return encode_palette_png(figure)


def _draw_recall(axes: Axes, rows: list[dict[str, Any]], rules: list[str]) -> None:
    kinds = (*KINDS, ALL)
    shares = np.array(
        [[np.nan if row["recall"] is None else row["recall"] for row in rows if row["kind"] == kind] for kind in kinds]
    )
    axes.imshow(shares, cmap=_COLOR_MAP, vmin=0, vmax=1, aspect="auto")
    for (y, x), share in np.ndenumerate(shares):
        color = "white" if share > _DARK else INK
        axes.text(
            x, y, "-" if np.isnan(share) else f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=8
        )
    axes.axhline(len(KINDS) - 0.5, color="white", linewidth=3)
    axes.set_xticks(range(len(rules)), rules)
    axes.set_yticks(range(len(kinds)), [*(kind.replace("_", " ") for kind in KINDS), "mean"])
    axes.set_title("Recall: % of the copies found", fontsize=10, color=INK)
    axes.set_xlabel("minimum similarity, or confirmed", fontsize=9, color=INK)
    _hide_frame(axes)


def _draw_precision(axes: Axes, whole: list[dict[str, Any]]) -> None:
    for y, row in enumerate(whole):
        share = row["precision"]
        if share is None:
            text = "no other pair to judge" if row["other_pairs_accepted"] else "accepts no pair"
            axes.text(2, y, text, va="center", fontsize=8, color=INK)
            continue
        axes.barh(y, 100 * share, height=0.62, color=_BAR)
        axes.plot([100 * row["precision_low"], 100 * row["precision_high"]], [y, y], color=INK, linewidth=1)
        text = f"{row['false_positives']:,} of {row['other_pairs_accepted']:,} accepted pairs are wrong"
        # Above the bar: the interval and the margin leave no room beside it.
        axes.text(2, y - 0.42, text, va="center", fontsize=7.5, color=INK)
    axes.set_ylim(len(whole) - 0.4, -0.75)
    axes.set_xlim(0, 100)
    axes.set_yticks(range(len(whole)), [_label(row) for row in whole])
    axes.set_title("Precision on nearest other images", fontsize=10, color=INK)
    axes.set_xlabel("% correct, with 95 % interval", fontsize=9, color=INK)
    _hide_frame(axes)


def _draw_floors(axes: Axes, floors: list[dict[str, Any]]) -> None:
    known = [row for row in floors if row["recall"] is not None and row["precision"] is not None]
    axes.plot([100 * row["recall"] for row in known], [100 * row["precision"] for row in known], "o-", color=_BAR)
    for row in known:
        axes.annotate(f"{row['threshold']:g}", (100 * row["recall"], 100 * row["precision"]), fontsize=8, color=INK)
    if not known:
        axes.text(0.5, 0.5, "no other pair to judge", ha="center", transform=axes.transAxes, fontsize=8, color=INK)
    axes.set_title("Minimum confidence", fontsize=10, color=INK)
    axes.set_xlabel("recall, %", fontsize=9, color=INK)
    axes.set_ylabel("precision, %", fontsize=9, color=INK)
    axes.tick_params(labelsize=9, colors=INK)


def _hide_frame(axes: Axes) -> None:
    axes.tick_params(length=0, labelsize=9, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label(record: dict[str, Any]) -> str:
    return "confirmed" if record["rule"] == VERIFIED else f"{record['threshold']:.2f}"
