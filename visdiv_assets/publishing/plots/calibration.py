"""Plot the table `calibration` for the Dagster UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.calibration.copies import KINDS
from visdiv_assets.duplicates.calibration.rates import VERIFIED
from visdiv_assets.publishing.plots.figures import INK, encode_palette_png, new_figure
from visdiv_assets.statistics import ALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 900, 500

_BAR = "#5a8f7b"
_COLOR_MAP = "YlGn"
_DARK = 0.6


def plot(table: pa.Table) -> bytes:
    """Draw recall by kind of copy and rule as a heat map, beside the precision of each rule with its interval.

    Args:
        table: table of `CALIBRATION_SCHEMA`, not empty.

    Returns:
        PNG, 900 x 500 pixels, less than 60 kB; the same for the same table and release of matplotlib.

    Raises:
        ValueError: the table has no rows.
        ConfigError: matplotlib is not installed.
    """
    if not table.num_rows:
        raise ValueError("there is nothing to plot: no copies were made")
    rows = [record for record in table.to_pylist() if record["strength"] == ALL]
    whole = [record for record in rows if record["kind"] == ALL]
    figure = new_figure(WIDTH, HEIGHT)
    heat, bars = figure.subplots(1, 2, gridspec_kw={"width_ratios": (2.3, 1)})
    figure.subplots_adjust(left=0.115, right=0.985, top=0.86, bottom=0.1, wspace=0.32)
    _draw_recall(heat, rows, [_label(record) for record in whole])
    _draw_precision(bars, whole)
    copies, images = whole[0]["copies"], whole[0]["images"]
    figure.suptitle(f"{copies:,} copies of {images:,} images of this subset", fontsize=11, color=INK, y=0.975)
    return encode_palette_png(figure)


def _draw_recall(axes: Axes, rows: list[dict[str, Any]], rules: list[str]) -> None:
    kinds = (*KINDS, ALL)
    shares = np.array(
        [[np.nan if row["recall"] is None else row["recall"] for row in rows if row["kind"] == kind] for kind in kinds]
    )
    axes.imshow(shares, cmap=_COLOR_MAP, vmin=0, vmax=1, aspect="auto")
    for (y, x), share in np.ndenumerate(shares):
        color = "white" if share > _DARK else INK
        axes.text(x, y, "-" if np.isnan(share) else f"{100 * share:.0f}", ha="center", va="center", color=color)
    axes.axhline(len(KINDS) - 0.5, color="white", linewidth=3)
    axes.set_xticks(range(len(rules)), rules)
    axes.set_yticks(range(len(kinds)), [*(kind.replace("_", " ") for kind in KINDS), "all"])
    axes.set_title("Recall: % of the copies found", fontsize=10, color=INK)
    axes.set_xlabel("minimum similarity, or confirmed by pixels", fontsize=9, color=INK)
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


def _hide_frame(axes: Axes) -> None:
    axes.tick_params(length=0, labelsize=9, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label(record: dict[str, Any]) -> str:
    return "pixels" if record["rule"] == VERIFIED else f"{record['threshold']:.2f}"
