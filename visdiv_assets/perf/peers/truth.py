"""Recall and precision of claimed pairs of images, from a file that lists the planted copies of a corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visdiv_assets.duplicates.clusters import Pairs, components
from visdiv_assets.errors import ConfigError
from visdiv_assets.perf.peers.images import Position

Pair = tuple[Position, Position]

#: Edits that put several images together: two such copies may show the same background.
SHARE_BACKGROUNDS = frozenset({"collage", "overlay_image", "pip"})


class Truth(NamedTuple):
    """The planted copies of a corpus.

    Attributes:
        copies: the original and the copy of each.
        group: a number for each original and copy; copies of one original, and copies of them, have the same.
        composed: copies that show other images, too.
        left_out: name and row of images that are no evidence about copies.
        benchmarks: names of the benchmarks, which are not compared with one another.
    """

    copies: list[Pair]
    group: dict[Position, int]
    composed: frozenset[Position]
    left_out: frozenset[tuple[str, int]]
    benchmarks: frozenset[str]


class Score(NamedTuple):
    """How claimed pairs compare with the planted ones.

    Attributes:
        planted: number of planted copies.
        found: number of planted copies that were claimed together with their originals.
        right: number of claimed pairs of images that are copies of one original.
        wrong: the other claimed pairs, sorted.
    """

    planted: int
    found: int
    right: int
    wrong: list[Pair]

    @property
    def recall(self) -> float:
        """The share of planted copies that were found."""
        return self.found / self.planted

    @property
    def precision(self) -> float | None:
        """The share of claimed pairs that are right; None without pairs."""
        claimed = self.right + len(self.wrong)
        return self.right / claimed if claimed else None


def read_truth(file: Path, benchmarks: Iterable[str]) -> Truth:
    """Read a JSON file with `copies`: `src`, `src_row`, `dst`, `dst_row`, `transform` and `image` of each.

    The original is the first image of its row; `image` is the index of the copy among those of its row, 0 if missing.

    Its `special_rows`, a list of objects with `subset` and `row`, are left out.

    Raises:
        ConfigError: the file is missing, or holds something else.
    """
    try:
        content = json.loads(file.read_bytes())
        listed: list[dict[str, Any]] = content["copies"]
        copies = [(_position(copy, "src", 0), _position(copy, "dst", copy.get("image", 0))) for copy in listed]
        composed = {
            pair[1] for pair, copy in zip(copies, listed, strict=True) if copy["transform"] in SHARE_BACKGROUNDS
        }
        left_out = {(row["subset"], row["row"]) for row in content.get("special_rows", ())}
    except FileNotFoundError:
        raise ConfigError(f"{file} is missing: name a corpus with a list of its planted copies") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file} does not list planted copies ({type(error).__name__}: {error}): see `visdiv perf --help`"
        ) from None
    if not copies:
        raise ConfigError(f"{file} lists no copies: recall cannot be measured without them")
    return Truth(copies, _groups(copies), frozenset(composed), frozenset(left_out), frozenset(benchmarks))


def _position(copy: dict[str, Any], side: str, image: int) -> Position:
    return Position(str(copy[side]), int(copy[f"{side}_row"]), int(image))


def _groups(copies: list[Pair]) -> dict[Position, int]:
    numbers: dict[Position, int] = {}
    for position in (position for pair in copies for position in pair):
        numbers.setdefault(position, len(numbers))
    left, right = np.array([[numbers[one], numbers[other]] for one, other in copies]).T
    labels = components(len(numbers), Pairs(left, right, np.ones(len(copies), np.float32)))
    return {position: int(labels[number]) for position, number in numbers.items()}


def score(pairs: Iterable[Pair], truth: Truth) -> Score:
    """Compare claimed pairs, in any order, with the planted copies."""
    claimed = {_sorted(pair) for pair in pairs if _counts(pair, truth)}
    same = {pair for pair in claimed if _same_group(pair, truth)}
    wrong = [pair for pair in claimed - same if not truth.composed.issuperset(pair)]
    found = sum(_sorted(pair) in claimed for pair in truth.copies)
    return Score(len(truth.copies), found, len(same), sorted(wrong))


def _counts(pair: Pair, truth: Truth) -> bool:
    one, other = pair
    return (
        one != other
        and not truth.benchmarks.issuperset((one.name, other.name))
        and not any((each.name, each.row) in truth.left_out for each in pair)
    )


def _same_group(pair: Pair, truth: Truth) -> bool:
    one, other = (truth.group.get(position) for position in pair)
    return one is not None and one == other


def _sorted(pair: Pair) -> Pair:
    one, other = pair
    return (one, other) if one <= other else (other, one)
