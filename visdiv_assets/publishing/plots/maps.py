"""Maps as one image for the UI."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WIDTH, HEIGHT = 450, 450
COLORS = 64
#: Clusters that are named beside the map.
NAMED = 12

_NO_CLUSTER = "#c8c8c8"
_INK = "#222222"


def plot(points: pa.Table) -> bytes:
    """Draw the maps of a subset side by side, clusters in colors, the largest with their names.

    Args:
        points: of `points.POINTS_SCHEMA`, with rows.

    Returns:
        PNG, 450 pixels for each map and 450 high.

    Raises:
        ValueError: the table has no rows.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL.Image import Dither, fromarray

    kinds = list(dict.fromkeys(points["kind"].to_pylist()))
    if not kinds:
        raise ValueError("there is nothing to plot: the subset has no vectors")
    figure = Figure(figsize=(WIDTH * len(kinds) / 100, HEIGHT / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    palette = [colormaps["tab20"](number / 20) for number in range(20)]
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        shown = points.filter(pc.equal(points["kind"], kind))
        x, y, cluster = (shown[name].to_numpy() for name in ("x", "y", "cluster"))
        colors = [palette[number % 20] if number >= 0 else _NO_CLUSTER for number in cluster]
        axes.scatter(x, y, s=max(1.5, min(20, 20_000 / len(x))), c=colors, linewidths=0)
        names = shown["cluster_name"].to_pylist()
        for number in range(min(int(cluster.max()) + 1, NAMED)):
            members = np.flatnonzero(cluster == number)
            name = names[int(members[0])]
            # A dollar sign would begin a formula.
            label = name.replace("$", "")[:40] or str(number)
            place = np.median(x[members]), np.median(y[members])
            axes.annotate(label, place, fontsize=7, color=_INK, ha="center")
        axes.set_title(f"{kind}: {len(x):,} points", fontsize=10, color=_INK)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.tight_layout()
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image = fromarray(drawn).convert("RGB").quantize(COLORS, dither=Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
