"""Plot diversity by sample size, and spectra, for the Dagster UI."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.rarefaction import SCORES
from visdiv_assets.publishing.plots.figures import INK, encode_png, new_figure

WIDTH, HEIGHT = 900, 300

_LINE = "#0b57a4"


def plot_rarefied(table: pa.Table) -> bytes:
    """Draw the scores of a subset by sample size, with the interval of the samples.

    Args:
        table: table of `rarefaction.RAREFIED_SCHEMA`, not empty.

    Returns:
        PNG, 900 x 300 pixels, less than 60 kB. Points are hollow where a sample has too few images.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure = new_figure(WIDTH, HEIGHT, constrained=True)
    sizes = table["sample_size"].to_pylist()
    # Rows are sorted by size, so the ones with too few images come first.
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
        axes.set_title(name.replace("_", " "), fontsize=10, color=INK)
        axes.set_xlabel("images per sample", color=INK)
        if hollow:
            axes.legend(loc="lower right", frameon=False, fontsize=8)
    return encode_png(figure)


def plot_spectrum(shares: np.ndarray, images: int, *, few: bool) -> bytes:
    """Draw the share of the variance that each direction holds, both axes logarithmic.

    Args:
        shares: from `spectrum`, not empty.
        images: number of images.
        few: whether there are too few images for the dimension; the title then says so.

    Returns:
        PNG, 450 x 300 pixels, less than 40 kB.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure = new_figure(WIDTH // 2, HEIGHT, constrained=True)
    axes = figure.subplots()
    axes.loglog(np.arange(1, len(shares) + 1), shares, color=_LINE)
    axes.set_ylim(bottom=max(float(shares.min()), 1e-6))
    axes.set_title(f"spectrum of {images:,} images{', too few' if few else ''}", fontsize=10, color=INK)
    axes.set_xlabel("direction, largest first", color=INK)
    axes.set_ylabel("share of the variance", color=INK)
    axes.grid(color="#dddddd", linewidth=0.5)
    return encode_png(figure)
