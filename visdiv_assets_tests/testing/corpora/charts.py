"""Charts and formulae, drawn with matplotlib."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from visdiv_assets_tests.testing.corpora.shared import WORDS, Content, other_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CYCLES = (
    ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"),
    ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860"),
    ("#003f5c", "#58508d", "#bc5090", "#ff6361", "#ffa600", "#7a9e7e"),
    ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51", "#6d597a"),
)
_MAPS = ("viridis", "plasma", "coolwarm", "YlGnBu", "RdYlGn", "magma")


def bar_chart(template: Random, content: Content) -> Image.Image:
    figure, axes, colors = _axes(template)
    count, grouped, lying = template.randint(5, 9), template.random() < 0.4, template.random() < 0.3
    labels = [word.capitalize()[:8] for word in template.sample(WORDS, count)]
    title, unit = _title(template), template.choice(("Share (%)", "Count", "Sales", "Score"))
    series = 2 if grouped else 1
    values = [content.random.uniform(25, 95) for _ in range(series * count)]
    content.alter(values, _moved)
    width, many = 0.8 / series, not grouped and template.random() < 0.4
    for row in range(series):
        places = np.arange(count) + (row - (series - 1) / 2) * width
        color: Any = [colors[i % 6] for i in range(count)] if many else colors[row]
        heights = values[row * count : (row + 1) * count]
        bars = (
            axes.barh(places, heights, width, color=color) if lying else axes.bar(places, heights, width, color=color)
        )
        if series == 1 and not lying:
            axes.bar_label(bars, [f"{value:.0f}" for value in heights])
    if lying:
        axes.set(yticks=range(count), yticklabels=labels, xlim=(0, 105), xlabel=unit)
    else:
        axes.set(xticks=range(count), xticklabels=labels, ylim=(0, 105), ylabel=unit)
        axes.tick_params(axis="x", rotation=30)
    axes.set_title(title)
    return _image(figure)


def line_chart(template: Random, content: Content) -> Image.Image:
    figure, axes, colors = _axes(template)
    count, points, marker = template.randint(3, 4), template.randint(12, 24), template.choice(("o", "s", None))
    names = [word.capitalize() for word in template.sample(WORDS, count)]
    lines = [_walk(content.random, points, level) for level in range(count)]
    content.alter(lines, lambda line, random: 100 - line if random.random() < 0.5 else line[::-1] * 0.6 + 18)
    for name, line, color in zip(names, lines, colors, strict=False):
        axes.plot(range(2000, 2000 + points), line, color=color, marker=marker, markersize=5, linewidth=2.4, label=name)
    axes.set(ylim=(0, 100), title=_title(template), xlabel="Year", ylabel=template.choice(("Index", "Value", "Rate")))
    axes.legend(loc="upper left")
    axes.grid(visible=True, alpha=0.4)
    return _image(figure)


def scatter_plot(template: Random, content: Content) -> Image.Image:
    figure, axes, colors = _axes(template)
    slope, count = template.choice((0.7, -0.7, 0.4)), template.randint(22, 40)
    points = []
    for i in range(count):
        x = (i + content.random.random()) * 90 / count + 5
        points.append((x, 50 + slope * (x - 50) + content.random.gauss(0, 9)))
    content.alter(
        points, lambda p, random: (p[0], 100 - p[1]) if abs(p[1] - 50) > 9 else (p[0], random.choice((8, 92)))
    )
    x_values, y_values = zip(*points, strict=True)
    axes.scatter(x_values, y_values, s=80, c=[colors[i % 2] for i in range(count)], edgecolors="white")
    axes.plot([0, 100], [50 - 50 * slope, 50 + 50 * slope], color="gray", linestyle="--")
    axes.set(xlim=(0, 100), ylim=(0, 100), title=_title(template), xlabel=_title(template), ylabel=_title(template))
    axes.grid(visible=True, alpha=0.4)
    return _image(figure)


def pie_chart(template: Random, content: Content) -> Image.Image:
    figure, axes, colors = _axes(template)
    count, hole = template.randint(4, 6), template.random() < 0.4
    names = [word.capitalize() for word in template.sample(WORDS, count)]
    shares = [content.random.uniform(12, 30) for _ in range(count)]
    content.alter(shares, lambda share, _: share * 2 if share < 20 else share / 2.5)
    axes.pie(
        shares,
        labels=names,
        colors=colors[:count],
        autopct="%.0f%%",
        startangle=90,
        wedgeprops={"width": 0.45 if hole else 1, "edgecolor": "white"},
        pctdistance=0.75,
    )
    axes.set_title(_title(template), fontweight="bold")
    return _image(figure)


def heat_map(template: Random, content: Content) -> Image.Image:
    figure, axes, _ = _axes(template)
    rows, columns, written = template.randint(6, 9), template.randint(6, 10), template.random() < 0.7
    hills = _hills(template, rows, columns)
    values = [min(99.0, max(1.0, hill + content.random.gauss(0, 14))) for hill in hills.ravel()]
    content.alter(values, lambda value, random: (value + random.uniform(40, 60)) % 100)
    table = np.array(values).reshape(rows, columns)
    shown = axes.imshow(table, cmap=template.choice(_MAPS), vmin=0, vmax=100, aspect="auto")
    figure.colorbar(shown, ax=axes)
    if written:
        for (row, column), value in np.ndenumerate(table):
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color="w" if 25 < value < 60 else "k")
    axes.set(xticks=range(columns), xticklabels=[word[:4] for word in template.sample(WORDS, columns)])
    axes.set(yticks=range(rows), yticklabels=[word[:6] for word in template.sample(WORDS, rows)])
    axes.set_title(_title(template))
    return _image(figure)


#: What is %s is the content.
_FORMULAE = (
    r"\int_{%s}^{%s} \frac{%s x^{%s} + %s}{\sqrt{x^2 + %s}} \, dx = \frac{%s\pi}{%s}",
    r"\sum_{k=%s}^{n} \frac{(-%s)^k}{k^{%s} + %s} \leq %s \log n",
    r"f(x) = %s x^{%s} - %s x^{%s} + %s x - %s",
    r"x_{1,2} = \frac{-%s \pm \sqrt{%s^2 - 4 \cdot %s \cdot %s}}{2 \cdot %s}",
    r"\lim_{x \to %s} \frac{\sin(%s x)}{%s x} = \frac{%s}{%s}",
    r"\frac{d}{dt}\left( %s e^{-%s t} \cos(%s t) \right) = -%s e^{-%s t}",
    r"P(X = %s) = \frac{%s!}{%s! \cdot %s!} \left(\frac{%s}{%s}\right)^{%s}",
    r"\Delta E = \frac{%s h^2}{%s m L^2}, \quad \lambda = \frac{%s c}{%s \nu}",
)


def formula(template: Random, content: Content) -> Image.Image:
    figure = _figure(template, 6, 9)
    shapes = template.sample(_FORMULAE, template.randint(2, 4))
    size, family = template.choice((26, 30)), template.choice(("cm", "stix", "dejavusans"))
    fillings = [[str(content.random.randint(2, 29)) for _ in range(shape.count("%s"))] for shape in shapes]
    content.alter(fillings, lambda filling, random: [other_number(number, random) for number in filling])
    for i, (shape, filling) in enumerate(zip(shapes, fillings, strict=True)):
        place = 1 - (i + 0.5) / len(shapes)
        figure.text(
            0.5, place, f"${shape % tuple(filling)}$", size=size, ha="center", va="center", math_fontfamily=family
        )
        figure.text(0.03, place, f"({i + 1})", size=size * 0.6, va="center")
    return _image(figure)


def _figure(template: Random, least: float = 6.4, most: float = 10) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = template.uniform(least, most)
    figure = Figure(figsize=(width, width * template.choice((0.56, 0.66, 0.75))), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes(template: Random) -> tuple[Figure, Axes, tuple[str, ...]]:
    figure = _figure(template)
    figure.set_facecolor(template.choice(("white", "white", "#f4f1ea", "#eef3f7")))
    axes = figure.add_subplot()
    if template.random() < 0.5:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes, template.choice(_CYCLES)


def _image(figure: Figure) -> Image.Image:
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy())  # type: ignore[attr-defined]


def _title(template: Random) -> str:
    return f"{template.choice(WORDS).capitalize()} of {template.choice(WORDS)}"


def _moved(value: float, random: Random) -> float:
    """Far enough to be seen, within 25 to 95."""
    return 25 + (value - 25 + random.uniform(28, 42)) % 70


def _walk(random: Random, points: int, level: int) -> np.ndarray:
    steps = np.array([random.gauss(0, 5) for _ in range(points)])
    line: np.ndarray = np.clip(20 + 18 * level + np.cumsum(steps), 3, 97)
    return line


def _hills(template: Random, rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[0:rows, 0:columns]
    angle = template.uniform(0, 6)
    hills: np.ndarray = 50 + 35 * np.sin(y / rows * 4 + angle) * np.cos(x / columns * 5 + angle)
    return hills
