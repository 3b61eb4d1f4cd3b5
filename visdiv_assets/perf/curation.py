"""Time and memory of methods of curation that count or weigh rows, at a million rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.perf.measuring import Figure, measure_methods
from visdiv_assets.perf.selection import open_texts, write_texts
from visdiv_assets.progress import Progress, silent

#: Attributes and labels of a row, and the shares of rows that have one.
ATTRIBUTES, LABELS, SHARES = 4, 8, (0.05, 0.6)
#: Rows that are drawn at a time.
ROWS_AT_A_TIME = 65_536

Work = Callable[[], Any]


def measure(rows: int = 1_000_000, progress: Progress = silent) -> list[Figure]:
    """Run every method once, each in a separate process.

    Args:
        rows: number of rows, each with a text of 40 words and some attributes.
        progress: called after every run.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        write_texts(Path(folder), rows)
        write_attributes(Path(folder), rows)
        return measure_methods(METHODS, Path(folder), rows, progress)


def write_attributes(folder: Path, rows: int, seed: int = 0) -> None:
    """Write `flags.npy`, bool [rows, attributes and labels]; labels are more frequent beside the first attribute."""
    random = np.random.default_rng(seed)
    columns = ATTRIBUTES + LABELS
    flags = np.lib.format.open_memmap(folder / "flags.npy", "w+", bool, (rows, columns))
    shares = random.uniform(*SHARES, columns)
    for start in range(0, rows, ROWS_AT_A_TIME):
        drawn = random.random((min(ROWS_AT_A_TIME, rows - start), columns))
        flags[start : start + len(drawn)] = drawn < shares
        beside = (drawn[:, :1] < shares[0]) & (drawn[:, ATTRIBUTES:] < shares[ATTRIBUTES:] + 0.1)
        flags[start : start + len(drawn), ATTRIBUTES:] |= beside


def _balance(folder: Path) -> Work:
    from visdiv_assets.curation.selection.attribute_balance import balance_attributes

    flags = np.load(folder / "flags.npy", mmap_mode="r")

    def work() -> str:
        found = balance_attributes(flags[:, :ATTRIBUTES], flags[:, ATTRIBUTES:])
        before = np.abs(found.bias["before"].to_numpy()).max()
        return f"largest bias {before:.4f} before, {found.worst:.1e} after"

    return work


def _concepts(folder: Path) -> Work:
    from visdiv_assets.curation.selection.concept_frequencies import concept_frequencies
    from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries

    texts = open_texts(folder / "texts.arrow")
    matcher = EntryMatcher(corpus_entries(texts))

    def work() -> str:
        found = concept_frequencies(matcher, {"all": texts})
        (subset,) = found.subsets.to_pylist()
        return f"{subset['matches']:,} matches of {len(matcher.entries):,} concepts"

    return work


def _masked(folder: Path) -> Work:
    from visdiv_assets.curation.selection.number_masked import mask_numbers

    texts = open_texts(folder / "texts.arrow")

    def work() -> str:
        masked = 0
        for batch in texts.chunks:
            numbered = pa.compute.binary_join_element_wise(batch, "sold 1,250.5", " ")
            masked += len(mask_numbers(numbered))
        return f"{masked:,} texts with a number"

    return work


METHODS: dict[str, Callable[[Path], Work]] = {
    "M4 balancing": _balance,
    "concept frequencies": _concepts,
    "masking of numbers": _masked,
}
