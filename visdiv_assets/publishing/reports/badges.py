"""What verification found, told in words: badges, their meanings, and columns from records of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.reports.model import PairEntry, Value, Verdict
from visdiv_assets.publishing.text_cells import Text

#: For people who never heard of the programme, one for each of `search.verify.KINDS` but `unconfirmed`.
KINDS = {
    "identical_pixels": "The two have the same size and the same color at every pixel.",
    "mirrored": "One is the mirror image of the other, turned or not.",
    "rotated": "One is the other turned.",
    "cropped": "One shows a part of the other, or each shows a part of the same image.",
    "bordered": "One has a plain border around what the other shows.",
    "captioned": "One carries a caption, a logo or a watermark that the other lacks.",
    "recolored": "Brightness, contrast or colors of the whole image differ, and nothing else.",
    "aligned": "Both show the same, in another size, compression or sharpness.",
}

#: One for each of `search.verify.REASONS`.
REASONS = {
    "unreadable": "One of the two cannot be read.",
    "too small": "One of the two has too few pixels to compare.",
    "too little texture": "The two are too plain to tell a copy from a likeness; they may be copies all the same.",
    "no alignment": "No way was found to lay the one over the other.",
    "contents differ": "Laid over one another, the two differ at a place that is more than noise.",
    "colors differ": "Laid over one another, the two differ in color at a place, not as a whole.",
}

#: Columns of a table of pairs that a page shows as they are, in its order, and their headings.
_MEASURES = {
    "similarity": "similarity",
    "similarity_normalized": "normalized",
    "pdq_distance": "PDQ distance",
    "low_information": "low information",
    "overlap": "overlap",
    "agreement": "agreement",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict as the page shows it.

    Attributes:
        verified: whether the pair is confirmed.
        label: "cropped", "contents differ".
        meaning: a sentence; empty for a kind or reason that is not known here.
    """

    verified: bool
    label: Text
    meaning: str


def verdict_of(record: Mapping[str, Any]) -> Verdict | None:
    """The verdict in a record of a table of pairs; None if the table has none or the pair was not verified."""
    if record.get("verified") is None:
        return None
    return Verdict(record["verified"], record.get("evidence") or "", record.get("reason") or "")


def measures_of(record: Mapping[str, Any]) -> dict[str, Value]:
    """The numbers of a record of a table of pairs, by the headings that they have on the page."""
    measures: dict[str, Value] = {heading: record[name] for name, heading in _MEASURES.items() if name in record}
    if "transform" in record and not record["transform"]:
        # Without an alignment nothing was compared: the zeros of the table are no measurements.
        measures |= {name: None for name in ("overlap", "agreement") if name in measures}
    return measures


def verdict_counts(pairs: pa.Table) -> dict[str, str]:
    """Facts on the verdicts of a table of pairs; none if its pairs were not verified."""
    if "verified" not in pairs.column_names:
        return {}
    confirmed = pc.sum(pairs["verified"]).as_py() or 0
    refused = pairs.num_rows - pairs["verified"].null_count - confirmed
    return {"pairs confirmed": f"{confirmed:,}", "pairs refused": f"{refused:,}"}


def badge(verdict: Verdict) -> Badge:
    """Tell a verdict in words."""
    said = verdict.kind if verdict.verified else verdict.reason or verdict.kind
    meanings = KINDS if verdict.verified else REASONS
    return Badge(verdict.verified, text_cells.shorten(said.replace("_", " "), shown=60, full=0), meanings.get(said, ""))


def legend(pairs: Sequence[PairEntry]) -> list[Badge]:
    """The badges of some pairs, each once: confirmed ones first, in the order in which the tables above list them."""
    # `unconfirmed` without a reason, and what is not known here, explains itself as well as it can.
    found = {badge(pair.verdict) for pair in pairs if pair.verdict is not None}
    known = [*KINDS.values(), *REASONS.values()]
    return sorted((each for each in found if each.meaning), key=lambda each: known.index(each.meaning))


def percent(share: float) -> str:
    """A share in whole percent; 0 and 100 only for none and all, as "100 %" with something left over misleads."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"
