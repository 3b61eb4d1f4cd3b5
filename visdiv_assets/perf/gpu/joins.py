"""The candidate join on the device, with the results of some blocks compared with those of the CPU."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from visdiv_assets.errors import StorageError
from visdiv_assets.perf import large
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.joins import CANDIDATES
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.perf.vectors import FLAT_RANK, ROWS_AT_A_TIME, Distribution
from visdiv_assets.storage.disk_space import GIGABYTE, space_of
from visdiv_assets.threads import ordered_map, thread_count
from visdiv_assets.vectors.join_blocks import (
    ROWS_OF_A_BLOCK,
    Known,
    Partners,
    block_tiles,
    compute_part,
    merge_parts,
    split_into_blocks,
)

DIMENSION = 512
#: Places in the set at which blocks are compared, as shares of its rows.
COMPARED_AT = (0.0, 0.5, 0.95)


def measure_join(setup: Setup) -> list[Figure]:
    """Join all vectors, block by block as a run does, and compare three blocks with the CPU."""
    vectors = np.load(vector_file(setup, setup.sizes.vectors), mmap_mode="r")
    rows = len(vectors)
    compute_part(vectors[:1024], None, (0, 1024), CANDIDATES, device=setup.device)
    begin = time.perf_counter()
    tiles = block_tiles(vectors, None, CANDIDATES, device=setup.device)
    known = Known.nothing(rows, None)
    blocks = split_into_blocks(rows)
    parts = (
        compute_part(vectors, None, block, CANDIDATES, tiles=tiles, known=known, device=setup.device)
        for block in blocks
    )
    found = merge_parts(vectors, None, parts, CANDIDATES)
    seconds = time.perf_counter() - begin
    name = f"candidate join of {rows:,} vectors on {setup.where}"
    remark = f"{rows * (rows - 1) / 2 / seconds / 1e9:.2f} billion pairs/s, {len(found.candidates):,} candidates"
    return [
        Figure(name, seconds, "s", remark=f"{remark}, {len(blocks)} block{'s' * (len(blocks) > 1)}"),
        compare_blocks(setup, vectors, COMPARED_AT),
    ]


def measure_large_join(setup: Setup) -> list[Figure]:
    """Join a share of the rows of FineVision's number of vectors, and compare a block with the CPU."""
    count = setup.sizes.many_vectors
    path = vector_file(setup, count)
    figures = large.measure_file(path, count, share=setup.sizes.share, device=setup.device)
    return [
        *(replace(figure, name=f"{figure.name}, {setup.where}") for figure in figures),
        compare_blocks(setup, np.load(path, mmap_mode="r"), COMPARED_AT[-1:]),
    ]


def compare_blocks(setup: Setup, vectors: np.ndarray, places: tuple[float, ...]) -> Figure:
    """Compute blocks on the device and on the CPU, and count the pairs that differ.

    Args:
        setup: the device, and the rows of a block.
        vectors: unit vectors [n, 512].
        places: where the blocks begin, as shares of the rows; rounded to where blocks of a run may begin.
    """
    sides: list[tuple[list[Partners], float]] = []
    for device in (setup.device, "cpu"):
        begin = time.perf_counter()
        tiles = block_tiles(vectors, None, CANDIDATES, device=device)
        found = []
        for place in places:
            start = int(place * len(vectors)) // ROWS_OF_A_BLOCK * ROWS_OF_A_BLOCK
            block = (start, min(start + setup.sizes.block, len(vectors)))
            part = compute_part(vectors, None, block, CANDIDATES, tiles=tiles, device=device)
            found.append(merge_parts(vectors, None, [part], CANDIDATES))
        sides.append((found, time.perf_counter() - begin))
    (ours, seconds), (theirs, peer_seconds) = sides
    return Figure(
        f"blocks of {setup.sizes.block:,} rows of the join of {len(vectors):,}, {setup.where}",
        seconds,
        "s",
        "the CPU",
        peer_seconds,
        peer_seconds / seconds,
        remark=describe_difference(ours, theirs),
    )


def describe_difference(ours: list[Partners], theirs: list[Partners]) -> str:
    """Count the pairs, with their similarities, that only one of two sides found in the same blocks."""
    different, pairs = 0, 0
    for mine, other in zip(ours, theirs, strict=True):
        for one, two in ((mine.candidates, other.candidates), (mine.close, other.close)):
            sets = [_rows(table) for table in (one, two)]
            different += len(sets[0] ^ sets[1])
            pairs += len(sets[0])
    blocks = f"in {len(ours)} block{'s' * (len(ours) > 1)}"
    return f"{different:,} pairs differ {blocks}" if different else f"the same {pairs:,} pairs {blocks}"


def _rows(table: pa.Table) -> set[tuple[int, int, float]]:
    """Return pairs with their similarities, which are exact."""
    columns = (table[name].to_pylist() for name in ("left", "right", "similarity"))
    return set(zip(*columns, strict=True))


def vector_file(setup: Setup, count: int) -> Path:
    """Return a file of unit vectors with a flat spectrum and copies among them, float16 [count, 512]; made once.

    Raises:
        StorageError: the disk has too little free space.
    """
    path = setup.folder / f"vectors_{count}.npy"
    if path.exists():
        return path
    needed, free = 2 * count * DIMENSION, space_of(setup.folder).free
    if free < needed + GIGABYTE:
        raise StorageError(
            f"{count:,} vectors need {needed / GIGABYTE:.1f} GB in {setup.folder}, but only {free / GIGABYTE:.1f} GB "
            "are free: choose another folder with --folder"
        )
    distribution = Distribution.with_rank(FLAT_RANK, DIMENSION)
    unfinished = path.with_suffix(".part")
    out = np.lib.format.open_memmap(unfinished, "w+", np.float16, (count, DIMENSION))

    def write(start: int) -> None:
        rows = min(ROWS_AT_A_TIME, count - start)
        # Each chunk has its own generator, so that the result does not depend on the number of threads.
        out[start : start + rows] = distribution.draw(np.random.default_rng([0, start]), rows)

    with threadpool_limits(1, user_api="blas"):
        deque(ordered_map(write, range(0, count, ROWS_AT_A_TIME), threads=thread_count(0)), maxlen=0)
    # Written to disk when the system likes: another run may make the file again.
    unfinished.rename(path)
    return path
