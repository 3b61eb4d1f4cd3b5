"""How many images and rows each made-up subset and benchmark has: FineVision's proportions.

The subsets are FineVision's 185, shrunk alike. The benchmarks are the 66 that it was compared with, at their own size
whatever the size of the rehearsal, as they do not grow with the training set: `benchmark_sizes.csv` has their positions
and different images, rounded, of which only the order of magnitude matters here.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources.catalog import FINEVISION_LIST, benchmarks_on, finevision_categories, published

#: Images that every subset has at least, unless it is of texts alone.
MIN_SUBSET = 4

#: The smallest rehearsal: with fewer, the subsets would all be of `MIN_SUBSET`.
MIN_SIZE = 1_000


@dataclass(frozen=True)
class SetPlan:
    """What a made-up subset or benchmark holds.

    Attributes:
        name: as published.
        rows: those without images too.
        images: image positions.
        unique: different images before anything is planted; those that repeat stand side by side.
    """

    name: str
    rows: int
    images: int
    unique: int


@dataclass(frozen=True)
class Plan:
    """What a made-up lake holds."""

    subsets: tuple[SetPlan, ...]
    benchmarks: tuple[SetPlan, ...]

    @property
    def images(self) -> int:
        """Image positions of all subsets."""
        return sum(subset.images for subset in self.subsets)


def finevision_plan(images: int) -> Plan:
    """FineVision's subsets with so many image positions together, and its benchmarks at full size.

    Raises:
        VisdivError: there are too few for so many subsets.
    """
    if images < MIN_SIZE:
        raise VisdivError(f"{images} images are too few for FineVision's subsets: rehearse {MIN_SIZE:,} or more")
    names = sorted(finevision_categories())
    figures = [found for name in names if (found := published(name))]
    total = sum(figure.images for figure in figures)
    with_images = [number for number, figure in enumerate(figures) if figure.images]
    shares = dict(
        zip(
            with_images,
            proportional(images, [figures[number].images for number in with_images], MIN_SUBSET),
            strict=True,
        )
    )
    subsets = []
    for number, (name, figure) in enumerate(zip(names, figures, strict=True)):
        own = shares.get(number, 0)
        # A row of several images stays one; a subset that is not shrunk below `MIN_SUBSET` keeps its ratio.
        ratio = own / figure.images if own else images / total
        subsets.append(SetPlan(name, max(1, round(figure.samples * ratio)), own, own))
    return Plan(tuple(subsets), benchmark_plans())


def benchmark_plans() -> tuple[SetPlan, ...]:
    """FineVision's 66 benchmarks, in the catalog's order."""
    text = resources.files("visdiv_assets.perf.rehearsal").joinpath("benchmark_sizes.csv").read_text("utf-8")
    sizes = {line["benchmark"]: line for line in csv.DictReader(text.splitlines())}
    found = []
    for benchmark in benchmarks_on(FINEVISION_LIST):
        positions, images = (int(sizes[benchmark.name][name]) for name in ("positions", "images"))
        found.append(SetPlan(benchmark.name, positions, positions, images))
    return tuple(found)


def proportional(total: int, weights: Sequence[int], least: int) -> list[int]:
    """Whole numbers that add up to `total`, in proportion to the weights but for `least` that each has anyway."""
    left = total - least * len(weights)
    exact = np.array(weights, np.float64) * left / sum(weights)
    parts = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(parts - exact, kind="stable")[: left - int(parts.sum())]
    parts[largest_remainders] += 1
    return [int(part) + least for part in parts]
