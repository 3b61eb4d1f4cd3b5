"""What the findings say of a dataset as a whole, for the dataset card and the Croissant metadata of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SubsetFacts:
    """What the findings say of a subset; None for a number that was not computed.

    Attributes:
        subset: its name.
        rows: its rows.
        images: its image positions.
        unreadable: image positions that cannot be read.
        duplicates: image positions that are copies of an image that a clean copy keeps elsewhere.
        contaminated: image positions that are confirmed copies of a benchmark image.
    """

    subset: str
    rows: int
    images: int
    unreadable: int
    duplicates: int | None
    contaminated: int | None


@dataclass(frozen=True)
class BenchmarkFacts:
    """What the findings say of a benchmark: its image positions, and those with a confirmed copy in any subset."""

    benchmark: str
    images: int
    leaked: int | None


@dataclass(frozen=True)
class DatasetFacts:
    """What the findings say of a dataset.

    Attributes:
        subsets: of each subset.
        benchmarks: of each benchmark that it was compared with.
        published: date of the findings, as YYYY-MM-DD; empty if it is not known.
    """

    subsets: Sequence[SubsetFacts]
    benchmarks: Sequence[BenchmarkFacts]
    published: str
