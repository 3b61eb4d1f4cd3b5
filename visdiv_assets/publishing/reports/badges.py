"""Describe the results of verification in words: badges, their meanings, and columns from records of the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.decided_pairs import PERSON
from visdiv_assets.duplicates.person_decisions import WRONG
from visdiv_assets.duplicates.verify.geometry import inverse, matrix_of
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.reports.model import PairEntry, Value, Verdict
from visdiv_assets.publishing.text_cells import Text

#: Verdicts as the lake stores them.
VERIFIED = {"confirmed": True, "rejected": False, "undecided": None}

#: The kind of pairs that are not confirmed, and the reason of those that a person refuted.
UNCONFIRMED, PERSON_SAID = "unconfirmed", "a person decided"

#: Meanings of the kinds of `duplicates.verify.KINDS`, except `unconfirmed`, and of the one that a person confirmed.
KINDS = {
    "identical_pixels": "Both images have the same size and the same color at every pixel.",
    "mirrored": "One image is the mirror image of the other, possibly rotated.",
    "rotated": "One image is the other one rotated.",
    "cropped": "One image shows a part of the other, or both show parts of the same image.",
    "bordered": "One image has a plain border around the content of the other.",
    "captioned": "One image has a caption, a logo or a watermark that the other lacks.",
    "recolored": "Only the brightness, contrast or colors of the whole image differ.",
    PERSON: "A person decided that one image is a copy of the other; verification did not confirm it.",
    "aligned": "Both images show the same content, in another size, compression or sharpness.",
}

#: Meanings of the reasons of `duplicates.verify.REASONS`.
REASONS = {
    "unreadable": "One of the two images cannot be read.",
    "too small": "One of the two images has too few pixels to compare.",
    "too little texture": "The images are too plain to tell copies from similar images; they may still be copies.",
    "nothing rare": "The images agree in what other images show, too, and not exactly; they may still be copies.",
    "colors lost": "One image lacks the colors that distinguish such images; they may still be copies.",
    "low confidence": "The images agree, but different images do so too often; they may still be copies.",
    "no alignment": "No transform was found that maps one image onto the other.",
    "contents differ": "After registration, the images differ in a region by more than noise.",
    "texts differ": "The pixels agree, but where both images have legible text, it reads differently.",
    PERSON_SAID: "A person decided that the images are not copies.",
    "colors differ": "After registration, the images differ in color in a region, not as a whole.",
}

#: Columns of a table of pairs that a page shows, in this order, and their headings.
_MEASURES = {
    "similarity": "similarity",
    "similarity_normalized": "normalized",
    "confidence": "confidence",
    "pdq_distance": "PDQ distance",
    "low_information": "low information",
    "overlap": "overlap",
    "agreement": "agreement",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict on a page.

    Attributes:
        verdict: confirmed, rejected or undecided.
        label: the kind or reason, such as "cropped" or "contents differ".
        meaning: a sentence; empty for an unknown kind or reason.
    """

    verdict: str
    label: Text
    meaning: str


def verdict_of(record: Mapping[str, Any], *, swapped: bool = False) -> Verdict | None:
    """Return the verdict in a record of a table of pairs; None if the pair was not compared.

    Args:
        record: of the table.
        swapped: whether the first image of the record is shown on the right, so that its transform is inverted.
    """
    if record.get("evidence") is None:
        return None
    transform = record.get("transform") or ()
    if swapped and transform:
        matrix = inverse(matrix_of(transform))
        transform = (matrix / matrix[2, 2]).ravel()[: len(transform)].tolist()
    refuted = record.get("decision") == WRONG
    return Verdict(
        record["verified"],
        UNCONFIRMED if refuted else record["evidence"],
        PERSON_SAID if refuted else record.get("reason") or "",
        tuple(transform),
        record.get("overlap") or 0.0,
        record.get("agreement") or 0.0,
    )


def measures_of(record: Mapping[str, Any]) -> dict[str, Value]:
    """Return the numbers of a record of a table of pairs, by their headings on the page."""
    measures: dict[str, Value] = {heading: record[name] for name, heading in _MEASURES.items() if name in record}
    if "transform" in record and not record["transform"]:
        # Without a transform nothing was measured: the zeros of the table are placeholders.
        measures |= {name: None for name in ("overlap", "agreement") if name in measures}
    return measures


def verdict_counts(pairs: pa.Table) -> dict[str, str]:
    """Return the numbers of confirmed, rejected and undecided pairs; empty if the pairs were not compared."""
    if "verified" not in pairs.column_names:
        return {}
    compared = pairs.filter(pc.is_valid(pairs["evidence"]))["verified"]
    confirmed, undecided = pc.sum(compared).as_py() or 0, compared.null_count
    counts = {"confirmed": confirmed, "rejected": len(compared) - confirmed - undecided, "undecided": undecided}
    return {f"pairs {name}": f"{count:,}" for name, count in counts.items()}


def badge(verdict: Verdict) -> Badge:
    """Describe a verdict in words."""
    said = verdict.kind if verdict.verified else verdict.reason or verdict.kind
    meanings = KINDS if verdict.verified else REASONS
    return Badge(verdict.name, text_cells.shorten(said.replace("_", " "), shown=60, full=0), meanings.get(said, ""))


def legend(pairs: Sequence[PairEntry]) -> list[Badge]:
    """Return the different badges of some pairs: confirmed ones first, in the order of `KINDS` and `REASONS`."""
    # Unknown kinds and reasons have no meaning to explain.
    found = {badge(pair.verdict) for pair in pairs if pair.verdict is not None}
    known = [*KINDS.values(), *REASONS.values()]
    return sorted((each for each in found if each.meaning), key=lambda each: known.index(each.meaning))


def percent(share: float) -> str:
    """Format a share in whole percent; 0 % and 100 % stand only for exactly none and all."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"
