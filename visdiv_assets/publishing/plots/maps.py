"""Plot the maps of a subset for the Dagster UI."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.publishing.plots.figures import INK, encode_palette_png, new_figure

WIDTH, HEIGHT = 450, 450
#: Clusters whose names are shown.
NAMED = 12

_NO_CLUSTER = "#c8c8c8"


def plot(points: pa.Table) -> bytes:
    """Draw the first layout of each map of a subset side by side, clusters in colors, the largest with their names.

    Args:
        points: table of `points.POINTS_SCHEMA`, not empty.

    Returns:
        PNG, 450 pixels high, 450 pixels wide for each map.

    Raises:
        ValueError: the table has no rows.
        ConfigError: matplotlib is not installed.
    """
    kinds = list(dict.fromkeys(points["kind"].to_pylist()))
    if not kinds:
        raise ValueError("there is nothing to plot: the subset has no vectors")
    figure = new_figure(WIDTH * len(kinds), HEIGHT)
    from matplotlib import colormaps

    palette = [colormaps["tab20"](index / 20) for index in range(20)]
    for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        of_kind = points.filter(pc.equal(points["kind"], kind))
        first = of_kind["layout"][0].as_py()
        shown = of_kind.filter(pc.equal(of_kind["layout"], first))
        x, y, cluster = (shown[name].to_numpy() for name in ("x", "y", "cluster"))
        colors = [palette[index % 20] if index >= 0 else _NO_CLUSTER for index in cluster]
        axes.scatter(x, y, s=max(1.5, min(20, 20_000 / len(x))), c=colors, linewidths=0)
        names = shown["cluster_name"].to_pylist()
        for index in range(min(int(cluster.max()) + 1, NAMED)):
            members = np.flatnonzero(cluster == index)
            name = names[int(members[0])]
            # matplotlib reads a dollar sign as the start of a formula.
            label = name.replace("$", "")[:40] or str(index)
            center = np.median(x[members]), np.median(y[members])
            axes.annotate(label, center, fontsize=7, color=INK, ha="center")
        axes.set_title(f"{kind}, {first}: {len(x):,} points", fontsize=10, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.tight_layout()
    return encode_palette_png(figure)
