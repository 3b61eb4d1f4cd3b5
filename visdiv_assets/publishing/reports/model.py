"""The data of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from visdiv_assets.corpus.image_lookup import ImageRef
from visdiv_assets.publishing.reports.pair_selection import on_page

#: The column by which the page is sorted, and on which its slider sets a minimum.
SIMILARITY = "similarity"

#: Maximum bytes of an image of an `AlignedView`. A page holds three of them for at most 60 pairs: 3.2 MB in Base64.
VIEW_BYTES = 13_000

Value: TypeAlias = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing the pixels of two images.

    Attributes:
        verified: true if the pair is confirmed, false if it is rejected, None if it is undecided.
        kind: the kind of copy, such as "cropped"; "unconfirmed" if the pair is not confirmed.
        reason: why it is not confirmed, such as "contents differ"; else empty.
        transform: row-major map from points of the right image to points of the left one, both in units of their own
            width and height: 2 x 3 if affine, 3 x 3 if a homography; empty if none was found.
        overlap: share of the smaller image that the other one shows, 0 to 1.
        agreement: share of the textured regions of the overlap that agree, 0 to 1.
    """

    verified: bool | None
    kind: str
    reason: str = ""
    transform: tuple[float, ...] = ()
    overlap: float = 0.0
    agreement: float = 0.0

    @property
    def name(self) -> str:
        """The verdict in a word."""
        return "undecided" if self.verified is None else "confirmed" if self.verified else "rejected"


@dataclass(frozen=True, slots=True)
class AlignedView:
    """A pair after registration, as small WebP images.

    Attributes:
        left: the left image in its own frame.
        right: the right image, warped onto the frame of the left one; in its own frame if no transform was found.
        marked: the left image darkened, with the regions that disagree marked; None if no transform was found.
        size: width and height of `left` and `marked` in pixels.
        right_size: width and height of `right`; equal to `size` if a transform was found.
        disagreeing: share of the left image that is marked.
        caption: the verdict, and how well the images agree.
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
    """Two images and the findings about the pair.

    Attributes:
        left: the left image.
        right: the right image.
        columns: values of further columns by name; the page has all columns that any of its pairs has.
        verdict: the verdict; None if the pair was not compared.
        aligned: drawings of the evidence; the page shows them for the pairs that `pair_selection.drawn` chooses.
    """

    left: ImageRef
    right: ImageRef
    columns: Mapping[str, Value]
    verdict: Verdict | None = None
    aligned: AlignedView | None = None

    @property
    def similarity(self) -> float | None:
        """The value of the column similarity if it is a finite number, else None."""
        value = self.columns.get(SIMILARITY)
        if value is None or isinstance(value, str | bool) or not math.isfinite(value):
            return None
        return float(value)

    @property
    def verified(self) -> bool | None:
        """True if the pair is confirmed, false if it is rejected, None if it is undecided or was not compared."""
        return None if self.verdict is None else self.verdict.verified


@dataclass(frozen=True)
class Table:
    """A small table above the pairs, such as the rate in each subset.

    Attributes:
        headers: names of the columns.
        rows: one value per column; the first one names the row.
        caption: a description of the table.
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
    """The content of a page.

    Attributes:
        title: heading of the page and title of the window.
        introduction: paragraphs of plain text, separated by empty lines.
        facts: counts, thresholds and model_id that are needed to read or repeat the report.
        pairs: in any order; the page shows at most `PAIRS_SHOWN` of them, chosen by `pair_selection.on_page`.
        pairs_total: number of pairs found; `pairs` may be a part of them.
        left_heading: heading of the left images.
        right_heading: heading of the right images.
        table: table above the pairs.
        measured: sentences on the measured recall and precision.
        kind: kind of the decisions on its pairs; None for a page on which pairs cannot be marked.
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
    kind: Literal["duplicates", "contamination"] | None = None

    def __post_init__(self) -> None:
        if self.pairs_total < len(self.pairs):
            raise ValueError(f"pairs_total is {self.pairs_total}, but {len(self.pairs)} pairs are given")

    def pairs_shown(self) -> list[PairEntry]:
        """Return the pairs of the page, the closest first; pairs without a similarity last, ties in the given order."""
        similarities = [pair.similarity for pair in self.pairs]
        return [self.pairs[index] for index in on_page(similarities, [pair.verified for pair in self.pairs])]
