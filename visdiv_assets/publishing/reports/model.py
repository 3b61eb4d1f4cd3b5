"""What a report holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.publishing.reports.pair_selection import on_page

#: The column that says how close a pair is: the page is ordered by it, and its slider sets a bound on it.
SIMILARITY = "similarity"

#: Longest image of an `AlignedView`. A page holds three of them for each of at most 60 pairs: 3.2 MB in Base64.
VIEW_BYTES = 13_000

Value: TypeAlias = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the pixels confirm that two images are copies of one another.

    Attributes:
        verified: whether they do.
        kind: what kind of copy it is, such as "cropped"; "unconfirmed" if they do not.
        reason: why not, such as "contents differ"; else empty.
    """

    verified: bool
    kind: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AlignedView:
    """A pair laid over one another, as small WebP images.

    Attributes:
        left: the left image in its own frame.
        right: the right image, warped onto the left one's frame; in its own frame if there is no alignment.
        marked: the left image darkened, with what disagrees marked; None if there is no alignment.
        size: width and height of `left` and `marked` in pixels.
        right_size: of `right`; another one only if there is no alignment.
        disagreeing: share of the left image that is marked.
        caption: how they were aligned and how well they agree.
    """

    left: bytes
    right: bytes
    marked: bytes | None
    size: tuple[int, int]
    right_size: tuple[int, int]
    disagreeing: float
    caption: str

    def __post_init__(self) -> None:
        longest = max(len(self.left), len(self.right), len(self.marked or b""))
        if longest > VIEW_BYTES:
            raise ValueError(f"an image of {longest} bytes, where {VIEW_BYTES} are the limit")


@dataclass(frozen=True)
class PairEntry:
    """Two images, and what is known about the pair.

    Attributes:
        left: one image.
        right: the other.
        columns: further columns, by name; the page has a column for every name that any of its pairs has.
        verdict: what the pixels say; None if they were not compared.
        aligned: the pair laid over one another; the page has it for the pairs that `choice.drawn` chooses.
    """

    left: ImageRef
    right: ImageRef
    columns: Mapping[str, Value]
    verdict: Verdict | None = None
    aligned: AlignedView | None = None

    @property
    def similarity(self) -> float | None:
        """The column of that name, if it is a finite number."""
        value = self.columns.get(SIMILARITY)
        if value is None or isinstance(value, str | bool) or not math.isfinite(value):
            return None
        return float(value)

    @property
    def verified(self) -> bool | None:
        """Whether the pixels confirm it; None if they were not compared."""
        return None if self.verdict is None else self.verdict.verified


@dataclass(frozen=True)
class Table:
    """A small table above the pairs, such as the rate in each subset.

    Attributes:
        headers: one per column.
        rows: each as long as `headers`; the first value names the row.
        caption: what the table tells.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[Value]]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f"a row of {len(row)} values under {len(self.headers)} headers: {row!r:.200}")


@dataclass(frozen=True)
class Report:
    """All that a page says.

    Attributes:
        title: the heading and the window's title.
        introduction: plain sentences; an empty line begins a new paragraph.
        facts: counts, threshold, model_id, date: what must be known to read or repeat the report.
        pairs: in any order; the page has at most `PAIRS_SHOWN` of them, those that `choice.on_page` chooses.
        pairs_total: how many pairs were found, of which `pairs` may be a part.
        left_heading: what the left images are.
        right_heading: what the right images are.
        table: shown above the pairs.
        measured: sentences on the recall and the precision that were measured for what the page reports.
    """

    title: str
    introduction: str
    facts: Mapping[str, str]
    pairs: Sequence[PairEntry]
    pairs_total: int
    left_heading: str
    right_heading: str
    table: Table | None = None
    measured: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.pairs_total < len(self.pairs):
            raise ValueError(f"pairs_total is {self.pairs_total}, but {len(self.pairs)} pairs are given")

    def pairs_shown(self) -> list[PairEntry]:
        """The pairs of the page, the closest first; those without a similarity last, ties as given."""
        similarities = [pair.similarity for pair in self.pairs]
        return [self.pairs[number] for number in on_page(similarities, [pair.verified for pair in self.pairs])]
