"""The exact join against FAISS's `IndexFlatIP.range_search` and a blocked NumPy product, on the same vectors.

Each side gets the vectors in its preferred form before the clock starts: our join the memory-mapped float16 file as the
lake stores it, the others float32 in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from visdiv_assets.extras import is_installed
from visdiv_assets.perf.measuring import Figure, Run, measure_in_subprocess
from visdiv_assets.perf.vectors import FLAT_RANK, Distribution, write_vectors
from visdiv_assets.progress import Progress, silent
from visdiv_assets.vectors.partner_lists import PartnerLists, PartnerRule, offer_tile

SIZES = (20_000, 50_000, 100_000)
THRESHOLDS = (0.93, 0.75)
#: The partners that the corpus keeps: candidates for verification, and close pairs.
CANDIDATES = PartnerRule(floor=0.45, k_best=16, close_floor=0.75, close_k_best=64)
#: Number of FineVision's images.
FINEVISION_IMAGES = 17_300_000
#: Maximum difference of two float32 products of the same vectors.
TOLERANCE = 1e-5
FAISS = "FAISS range_search"
NUMPY = "NumPy blocks"

#: The result of a side: row indices [2, m], left < right in a self-join, and similarities [m].
Pairs = tuple[np.ndarray, np.ndarray]


def measure(
    real: np.ndarray, *, sizes: tuple[int, ...] = SIZES, device: str = "cpu", progress: Progress = silent
) -> list[Figure]:
    """Measure the self-join at every size and threshold, its growth, the two-set join, and vectors of a flat spectrum.

    Args:
        real: vectors whose covariance is used, float32 [n, 512].
        sizes: numbers of vectors.
        device: device of our join; the peers always run on the CPU.
        progress: called after every run.

    Returns:
        the figures; for each threshold also the extrapolated hours for `FINEVISION_IMAGES`.
    """
    figures: list[Figure] = []
    where = "" if device == "cpu" else f" on {device}"
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, Distribution.of(real), max(sizes))
        for threshold in THRESHOLDS:
            seconds: dict[str, list[float]] = {}
            for size in sizes:
                ours, *peers = (
                    _run(progress, side, path, size, None, threshold, device) for side in (_ours, _faiss, _numpy)
                )
                name = f"self-join{where} of {size:,} at {threshold}"
                for peer, run in zip((FAISS, NUMPY), peers, strict=True):
                    figures.append(_figure(name, ours, peer, run, threshold))
                for side, run in zip(("ours", FAISS), (ours, peers[0]), strict=True):
                    seconds.setdefault(side, []).append(run.seconds)
            if len(sizes) > 1:
                figures.append(_growth(f"self-join{where} of {FINEVISION_IMAGES:,} at {threshold}", sizes, seconds))
        figures += _measure_candidates(progress, path, sizes, device, where)
        half = max(sizes) // 2
        name = f"join{where} of {half:,} with {half:,} others at 0.93"
        ours, theirs = (_run(progress, side, path, half, half, 0.93, device) for side in (_ours, _faiss))
        figures.append(_figure(name, ours, FAISS, theirs, 0.93))
        write_vectors(path, Distribution.with_rank(FLAT_RANK, real.shape[1]), max(sizes))
        for threshold in THRESHOLDS:
            name = f"self-join{where} of {max(sizes):,} with a flat spectrum at {threshold}"
            ours, theirs = (_run(progress, side, path, max(sizes), None, threshold, device) for side in (_ours, _faiss))
            figures.append(_figure(name, ours, FAISS, theirs, threshold))
    return figures


def _measure_candidates(
    progress: Progress, path: Path, sizes: tuple[int, ...], device: str, where: str
) -> list[Figure]:
    """Measure the join that finds candidates and close pairs against the join that finds close pairs only."""
    figures = []
    for size in sizes:
        ours, close = (
            _run(progress, side, path, size, None, CANDIDATES.close_floor, device) for side in (_candidates, _ours)
        )
        name = f"candidate join{where} of {size:,} from {CANDIDATES.floor} on"
        remark = f"{size * (size - 1) / 2 / ours.seconds / 1e9:.2f} billion pairs/s, {ours.result:,} candidates"
        peer = f"our join at {CANDIDATES.close_floor}"
        times = close.seconds / ours.seconds
        figures.append(
            Figure(name, ours.seconds, "s", peer, close.seconds, times, ours.peak_mb, close.peak_mb, remark=remark)
        )
    return figures


def _run(progress: Progress, side: Callable[..., Callable[[], Any]], *arguments: object) -> Run:
    run = measure_in_subprocess(side, *arguments)
    progress(1)
    return run


def count_runs(sizes: tuple[int, ...] = SIZES) -> int:
    """Return the number of runs that `measure` makes."""
    return (3 * len(THRESHOLDS) + 2) * len(sizes) + 2 + 2 * len(THRESHOLDS)


def _figure(name: str, ours: Run, peer: str, theirs: Run, threshold: float) -> Figure:
    return Figure(
        name,
        ours.seconds,
        "s",
        peer,
        theirs.seconds,
        theirs.seconds / ours.seconds,
        ours.peak_mb,
        theirs.peak_mb,
        _compare(ours.result, theirs.result, threshold),
    )


def _compare(ours: Pairs, theirs: Pairs, threshold: float) -> str:
    """Describe whether two sides found the same pairs, except pairs within the tolerance of the threshold."""
    keys = []
    for rows, similarity in (ours, theirs):
        certain = similarity > threshold + TOLERANCE
        keys.append(np.unique(rows[0, certain] << 32 | rows[1, certain]))
    # A pair near the threshold may be certain on only one side.
    missing = [
        np.setdiff1d(one, other_rows[0] << 32 | other_rows[1])
        for one, (other_rows, _) in ((keys[0], theirs), (keys[1], ours))
    ]
    different = sum(map(len, missing))
    return f"the same {len(keys[0]):,} pairs" if not different else f"{different:,} pairs differ"


def _growth(name: str, sizes: tuple[int, ...], seconds: dict[str, list[float]]) -> Figure:
    exponents, hours = {}, {}
    for side, measured in seconds.items():
        exponents[side] = float(np.polyfit(np.log(sizes), np.log(measured), 1)[0])
        # The fixed cost of a join lowers the measured exponent, but at large sizes the square of the size dominates.
        hours[side] = measured[-1] * (FINEVISION_IMAGES / sizes[-1]) ** max(exponents[side], 2) / 3600
    return Figure(
        name,
        hours["ours"],
        "hours",
        FAISS,
        hours[FAISS],
        hours[FAISS] / hours["ours"],
        remark="extrapolated from the largest size with exponent 2 or more; measured exponents: ours "
        f"{exponents['ours']:.2f}, FAISS {exponents[FAISS]:.2f}",
    )


def _ours(path: Path, size: int, others: int | None, threshold: float, device: str) -> Callable[[], Pairs]:
    from visdiv_assets.devices import torch_device
    from visdiv_assets.vectors.join import join

    # Each process pays once for imports and the first use of the device; do this before the measurement.
    if device != "cpu" or is_installed("torch"):
        torch_device(device)
    left, right = _load_sets(path, size, others)
    join(left[:8], None, threshold)

    def work() -> Pairs:
        found = join(left, right, threshold, device=device).pairs
        rows = np.stack([found["left"].to_numpy(), found["right"].to_numpy()])
        return rows, found["similarity"].to_numpy()

    return work


def _candidates(path: Path, size: int, _: int | None, __: float, device: str) -> Callable[[], int]:
    from visdiv_assets.devices import torch_device
    from visdiv_assets.vectors.bounded_tiles import bounded_tiles

    if device != "cpu" or is_installed("torch"):
        torch_device(device)
    vectors = _load_sets(path, size, None)[0]

    def work() -> int:
        lists = PartnerLists(size, CANDIDATES)
        for tile in bounded_tiles(vectors, None, (lists.bounds, lists.bounds), device=device).between(0, size):
            offer_tile(tile, lists, lists)
        return len(lists.candidates()[0])

    return work


def _faiss(path: Path, size: int, others: int | None, threshold: float, _: str) -> Callable[[], Pairs]:
    import faiss

    left, right = (None if x is None else x.astype(np.float32) for x in _load_sets(path, size, others))
    assert left is not None

    def work() -> Pairs:
        index = faiss.IndexFlatIP(left.shape[1])
        index.add(left if right is None else right)
        limits, similarity, found = index.range_search(left, threshold)
        rows = np.stack([np.repeat(np.arange(len(left)), np.diff(limits.astype(np.int64))), found])
        kept = rows[0] < rows[1] if right is None else np.ones(len(found), bool)
        return rows[:, kept], similarity[kept]

    return work


def _numpy(path: Path, size: int, others: int | None, threshold: float, _: str) -> Callable[[], Pairs]:
    left, right = (None if x is None else x.astype(np.float32) for x in _load_sets(path, size, others))
    assert left is not None

    def work() -> Pairs:
        other = left if right is None else right
        block, found, products = 2048, [], []
        for i in range(0, len(left), block):
            for j in range(i if right is None else 0, len(other), block):
                product = left[i : i + block] @ other[j : j + block].T
                a, b = np.nonzero(product >= threshold)
                kept = a + i < b + j if right is None else np.ones(len(a), bool)
                found.append(np.stack([a[kept] + i, b[kept] + j]))
                products.append(product[a[kept], b[kept]])
        return np.concatenate(found, axis=1), np.concatenate(products)

    return work


def _load_sets(path: Path, size: int, others: int | None) -> tuple[np.ndarray, Any]:
    vectors = np.load(path, mmap_mode="r")
    return vectors[:size], None if others is None else vectors[size : size + others]
