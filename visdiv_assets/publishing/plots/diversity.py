"""Diversity against the number of images, and spectra, as images for the UI."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.rarefaction import SCORES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 900, 300

_INK = "#222222"
_LINE = "#0b57a4"


def plot_rarefied(table: pa.Table) -> bytes:
    """Draw the scores of a subset at each number of images, with the interval of the draws.

    Args:
        table: of `rarefaction.RAREFIED_SCHEMA`, with rows.

    Returns:
        PNG, 900 x 300 pixels, below 60 kB. Points are hollow where the images are too few.
    """
    figure = _figure(WIDTH)
    sizes = table["sample_size"].to_pylist()
    # Rows come by size, so that those with too few images are the first.
    hollow = sizes[: sum(table["too_few"].to_pylist())]
    for axes, name in zip(figure.subplots(1, len(SCORES)), SCORES, strict=True):
        low, mean, high = (table[f"{name}_{part}"].to_pylist() for part in ("low", "mean", "high"))
        axes.fill_between(sizes, low, high, color=_LINE, alpha=0.2, linewidth=0)
        axes.vlines(sizes, low, high, color=_LINE)
        axes.plot(sizes, mean, color=_LINE, marker="o")
        axes.plot(hollow, mean[: len(hollow)], "o", color=_LINE, markerfacecolor="white", label="too few")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(0, 1.1 * max(high))
        axes.set_title(name.replace("_", " "), fontsize=10, color=_INK)
        axes.set_xlabel("images drawn", color=_INK)
        if hollow:
            axes.legend(loc="lower right", frameon=False, fontsize=8)
    return _png(figure)


def plot_spectrum(shares: np.ndarray, images: int, *, few: bool) -> bytes:
    """Draw the share of the variance that each direction holds, both axes logarithmic.

    Args:
        shares: of `spectrum`, not empty.
        images: images behind them.
        few: whether these are too few for the dimension, which the title then says.

    Returns:
        PNG, 450 x 300 pixels, below 40 kB.
    """
    figure = _figure(WIDTH // 2)
    axes = figure.subplots()
    axes.loglog(np.arange(1, len(shares) + 1), shares, color=_LINE)
    axes.set_ylim(bottom=max(float(shares.min()), 1e-6))
    axes.set_title(f"spectrum of {images:,} images{', too few' if few else ''}", fontsize=10, color=_INK)
    axes.set_xlabel("direction, the largest first", color=_INK)
    axes.set_ylabel("share of the variance", color=_INK)
    axes.grid(color="#dddddd", linewidth=0.5)
    return _png(figure)


def _figure(width: int) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, HEIGHT / 100), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
