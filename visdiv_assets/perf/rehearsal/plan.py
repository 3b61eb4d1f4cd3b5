"""Numbers of images and rows of each synthetic subset and benchmark, in FineVision's proportions.

The subsets are FineVision's 185, all reduced by the same factor. The benchmarks are the 66 that FineVision was compared
with. They keep their own sizes, since they do not grow with the training set: `benchmark_sizes.csv` has their rounded
numbers of positions and different images, of which only the order of magnitude matters here.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from visdiv_assets.errors import InputError
from visdiv_assets.sources.catalog import FINEVISION, FINEVISION_LIST, benchmarks_on, finevision_categories, published

#: Minimum number of images in a subset, unless it is text-only.
MIN_SUBSET = 4

#: Minimum number of images in a rehearsal; with fewer, all subsets would have `MIN_SUBSET` images.
MIN_SIZE = 1_000


@dataclass(frozen=True)
class SetPlan:
    """The size of a synthetic subset or benchmark.

    Attributes:
        name: its name, as published.
        rows: number of rows, with and without images.
        images: number of image positions.
        unique: number of different images before copies are planted; repetitions are at adjacent positions.
    """

    name: str
    rows: int
    images: int
    unique: int


@dataclass(frozen=True)
class Plan:
    """The subsets and benchmarks of a synthetic lake."""

    subsets: tuple[SetPlan, ...]
    benchmarks: tuple[SetPlan, ...]

    @property
    def images(self) -> int:
        """Number of image positions in all subsets."""
        return sum(subset.images for subset in self.subsets)


def finevision_plan(images: int) -> Plan:
    """Plan FineVision's subsets with a total number of image positions, and its benchmarks at full size.

    Raises:
        InputError: the number is less than `MIN_SIZE`.
    """
    if images < MIN_SIZE:
        raise InputError(f"{images} images are too few for FineVision's subsets: rehearse {MIN_SIZE:,} or more")
    names = sorted(finevision_categories())
    figures = [found for name in names if (found := published(name, FINEVISION))]
    total = sum(figure.images for figure in figures)
    with_images = [index for index, figure in enumerate(figures) if figure.images]
    shares = dict(
        zip(
            with_images,
            proportional(images, [figures[index].images for index in with_images], MIN_SUBSET),
            strict=True,
        )
    )
    subsets = []
    for index, (name, figure) in enumerate(zip(names, figures, strict=True)):
        own = shares.get(index, 0)
        # The ratio of rows to images stays, unless the subset would have fewer than `MIN_SUBSET` images.
        ratio = own / figure.images if own else images / total
        subsets.append(SetPlan(name, max(1, round(figure.samples * ratio)), own, own))
    return Plan(tuple(subsets), benchmark_plans())


def benchmark_plans() -> tuple[SetPlan, ...]:
    """Return the plans of FineVision's 66 benchmarks, in the catalog's order."""
    text = resources.files("visdiv_assets.perf.rehearsal").joinpath("benchmark_sizes.csv").read_text("utf-8")
    sizes = {line["benchmark"]: line for line in csv.DictReader(text.splitlines())}
    found = []
    for benchmark in benchmarks_on(FINEVISION_LIST):
        positions, images = (int(sizes[benchmark.name][name]) for name in ("positions", "images"))
        found.append(SetPlan(benchmark.name, positions, positions, images))
    return tuple(found)


def proportional(total: int, weights: Sequence[int], minimum: int) -> list[int]:
    """Return integers that add up to `total`: each is `minimum` plus a part in proportion to its weight."""
    left = total - minimum * len(weights)
    exact = np.array(weights, np.float64) * left / sum(weights)
    parts = np.floor(exact).astype(np.int64)
    largest_remainders = np.argsort(parts - exact, kind="stable")[: left - int(parts.sum())]
    parts[largest_remainders] += 1
    return [int(part) + minimum for part in parts]
