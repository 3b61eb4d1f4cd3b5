"""All measurements in one run, and the table of their figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from visdiv_assets.devices import has_cuda
from visdiv_assets.perf import (
    clip,
    curation,
    embedding,
    joins,
    large,
    moments,
    one_pass,
    selection,
    texts,
    verification,
)
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.perf.vectors import real_vectors
from visdiv_assets.progress import Progress, progress
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source

PARTS = ("join", "moments", "embedding", "pass", "verification", "selection", "curation", "texts", "clip")
HEADERS = ("measurement", "ours", "peer", "theirs", "unit", "times better", "peak MB", "their peak MB", "remark")
MOMENT_ROUNDS = 2
EMBEDDING_ROUNDS = 3
PASS_ROUNDS = 5


class Measurement(Protocol):
    """A function that measures and calls `progress` after every run."""

    def __call__(self, *, progress: Progress) -> list[Figure]:
        """Return the figures."""


def run(settings: Settings, parts: Sequence[str] = PARTS, *, with_large: bool = False) -> list[Figure]:
    """Run measurements and return their figures.

    Args:
        settings: settings whose source has the images from which the covariance of vectors is estimated.
        parts: names from `PARTS`.
        with_large: whether to run a share of the join of 17.3 million vectors, too.
    """
    figures: list[Figure] = []
    if "join" in parts or with_large:
        figures += _measure_joins(settings, "join" in parts, with_large)
    embedding_rounds = EMBEDDING_ROUNDS * len(embedding.FORMATS)
    measurements: dict[str, tuple[int, Measurement]] = {
        "moments": (2 * MOMENT_ROUNDS * len(moments.DTYPES), partial(moments.measure, rounds=MOMENT_ROUNDS)),
        "embedding": (embedding_rounds, partial(embedding.measure, rounds=EMBEDDING_ROUNDS)),
        "pass": (PASS_ROUNDS * len(embedding.FORMATS), partial(one_pass.measure, rounds=PASS_ROUNDS)),
        "verification": (3, verification.measure),
        "selection": (len(selection.METHODS), selection.measure),
        "curation": (len(curation.METHODS), curation.measure),
        "texts": (texts.RUNS, texts.measure),
        "clip": (embedding_rounds, partial(clip.measure, rounds=EMBEDDING_ROUNDS)),
    }
    for name, (total, measure) in measurements.items():
        if name in parts:
            figures += _with_progress(name, total, measure)
    return figures


def _measure_joins(settings: Settings, compared: bool, with_large: bool) -> list[Figure]:
    real = real_vectors(open_source(settings))
    devices = ["cpu", "cuda"] if has_cuda() else ["cpu"]
    figures: list[Figure] = []
    for device in devices:
        if compared:
            figures += _with_progress("joins", joins.count_runs(), partial(joins.measure, real, device=device))
        if with_large:
            figures += large.measure(real, device=device)
    return figures


def _with_progress(name: str, total: int, measure: Measurement) -> list[Figure]:
    with progress(f"measuring {name}", total, "run") as advance:
        return measure(progress=advance)


def table(figures: Sequence[Figure]) -> str:
    """Format the figures as a table of text."""
    from tabulate import tabulate

    rows = [
        (
            figure.name,
            _format(figure.ours),
            figure.peer,
            _format(figure.theirs),
            figure.unit,
            _format(figure.ratio),
            _format(figure.peak_mb, 0),
            _format(figure.peer_peak_mb, 0),
            figure.remark,
        )
        for figure in figures
    ]
    return tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)


def _format(value: float | None, places: int = 2) -> str:
    return "" if value is None else f"{value:,.{places if value < 100 else 0}f}"
