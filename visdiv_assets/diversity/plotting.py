"""Diversity against the number of pictures, as a picture for the UI."""

from __future__ import annotations

import io

import pyarrow as pa

from visdiv_assets.diversity.rarefaction import SCORES

WIDTH, HEIGHT = 900, 300

_INK = "#222222"
_LINE = "#0b57a4"


def plot_rarefied(table: pa.Table) -> bytes:
    """Draw the scores of a subset at each number of pictures, with the interval of the draws.

    Args:
        table: of `rarefaction.RAREFIED_SCHEMA`, with rows.

    Returns:
        PNG, 900 x 300 pixels, below 60 kB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    sizes = table["sample_size"].to_pylist()
    for axes, name in zip(figure.subplots(1, len(SCORES)), SCORES, strict=True):
        low, mean, high = (table[f"{name}_{part}"].to_pylist() for part in ("low", "mean", "high"))
        axes.fill_between(sizes, low, high, color=_LINE, alpha=0.2, linewidth=0)
        axes.plot(sizes, mean, color=_LINE, marker="o")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_title(name.replace("_", " "), fontsize=10, color=_INK)
        axes.set_xlabel("pictures drawn", color=_INK)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
