"""Create matplotlib figures without a display, and encode them as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.extras import is_installed, require_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Color of texts and axes.
INK = "#222222"
#: Colors of a reduced palette: enough for text on a color scale, and half the size of a full one.
PALETTE_COLORS = 64

_DPI = 100


def can_plot() -> bool:
    """Return whether matplotlib is installed."""
    return is_installed("matplotlib")


def new_figure(width: int, height: int, *, constrained: bool = False) -> Figure:
    """Create a white figure.

    Args:
        width: of the figure, in pixels.
        height: of the figure, in pixels.
        constrained: whether matplotlib places the axes so that no labels overlap.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    require_extra("matplotlib", "reports")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width / _DPI, height / _DPI)
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white", layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def encode_png(figure: Figure) -> bytes:
    """Encode a figure as PNG; the same figure gives the same bytes with the same release of matplotlib."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def encode_palette_png(figure: Figure) -> bytes:
    """Encode a figure as PNG with `PALETTE_COLORS` colors."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL.Image import Dither, fromarray

    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    stream = io.BytesIO()
    fromarray(drawn).convert("RGB").quantize(PALETTE_COLORS, dither=Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()
