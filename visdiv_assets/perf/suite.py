"""All measurements in one run, and the table that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from visdiv_assets.devices import has_cuda
from visdiv_assets.perf import clip, embedding, joins, large, moments, selection, verification
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.perf.vectors import real_vectors
from visdiv_assets.progress import Progress, progress
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source

PARTS = ("join", "moments", "embedding", "verification", "selection", "clip")
HEADERS = ("what", "ours", "peer", "the peer's", "unit", "times as good", "peak MB", "peer's", "remark")
MOMENT_ROUNDS = 2
EMBEDDING_ROUNDS = 3


def run(settings: Settings, parts: Sequence[str] = PARTS, *, with_large: bool = False) -> list[Figure]:
    """Measure.

    Args:
        settings: whose source gives the images that the covariance is taken from.
        parts: out of `PARTS`.
        with_large: also a share of the join of 17.3 million vectors.
    """
    figures: list[Figure] = []
    if "join" in parts or with_large:
        figures += _joins(settings, "join" in parts, with_large)
    if "moments" in parts:
        rounds = 2 * MOMENT_ROUNDS * len(moments.DTYPES)
        figures += _shown("moments", rounds, lambda told: moments.measure(rounds=MOMENT_ROUNDS, progress=told))
    if "embedding" in parts:
        rounds = EMBEDDING_ROUNDS * len(embedding.FORMATS)
        figures += _shown("embedding", rounds, lambda told: embedding.measure(rounds=EMBEDDING_ROUNDS, progress=told))
    if "verification" in parts:
        figures += _shown("verification", 3, lambda told: verification.measure(progress=told))
    if "selection" in parts:
        figures += _shown("selection", len(selection.METHODS), lambda told: selection.measure(progress=told))
    if "clip" in parts:
        rounds = EMBEDDING_ROUNDS * len(embedding.FORMATS)
        figures += _shown("CLIP", rounds, lambda told: clip.measure(rounds=EMBEDDING_ROUNDS, progress=told))
    return figures


def _joins(settings: Settings, compared: bool, with_large: bool) -> list[Figure]:
    real = real_vectors(open_source(settings))
    devices = ["cpu", "cuda"] if has_cuda() else ["cpu"]
    figures: list[Figure] = []
    for device in devices:
        if compared:
            figures += _shown("joins", joins.runs(), partial(_on_device, real, device))
        if with_large:
            figures += large.measure(real, device=device)
    return figures


def _on_device(real: np.ndarray, device: str, told: Progress) -> list[Figure]:
    return joins.measure(real, device=device, progress=told)


def _shown(name: str, total: int, work: Callable[[Progress], list[Figure]]) -> list[Figure]:
    with progress(f"measuring {name}", total, "run") as told:
        return work(told)


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table of text."""
    from tabulate import tabulate

    rows = [
        (
            figure.name,
            _number(figure.ours),
            figure.peer,
            _number(figure.theirs),
            figure.unit,
            _number(figure.ratio),
            _number(figure.peak_mb, 0),
            _number(figure.peer_peak_mb, 0),
            figure.remark,
        )
        for figure in figures
    ]
    return tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)


def _number(value: float | None, places: int = 2) -> str:
    return "" if value is None else f"{value:,.{places if value < 100 else 0}f}"
