"""What each threshold and verification find of the copies, and what they wrongly claim: the table `calibration`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.calibration.copies import KINDS, STRENGTHS
from visdiv_assets.duplicates.calibration.measure import NEAREST_FLOOR, Measurement
from visdiv_assets.statistics import ALL, wilson_interval

CALIBRATION_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("strength", pa.string()),
        ("rule", pa.string()),
        ("threshold", pa.float64()),
        ("images", pa.int64()),
        ("copies", pa.int64()),
        ("copies_found", pa.int64()),
        ("recall", pa.float64()),
        ("recall_low", pa.float64()),
        ("recall_high", pa.float64()),
        ("other_pairs", pa.int64()),
        ("other_pairs_accepted", pa.int64()),
        ("false_positives", pa.int64()),
        ("precision", pa.float64()),
        ("precision_low", pa.float64()),
        ("precision_high", pa.float64()),
    ]
)

#: A similarity is at or above the threshold.
SIMILARITY = "similarity"
#: The pair is a candidate (by SSCD or PDQ) and its pixels confirm it.
VERIFIED = "verified"

#: Those of `settings.NAMED_THRESHOLDS`, and below them down to the floor of candidates.
THRESHOLDS = (0.95, 0.93, 0.90, 0.75, 0.60, 0.45)

#: Of what the recommended threshold accepts, this share is right.
RECOMMENDED_PRECISION = 0.99
#: Pairs without which no threshold is recommended. Even 20 of 20 leave 16 % within the 95 % interval.
MIN_PAIRS = 20


def compute_rates(measured: Measurement, thresholds: Iterable[float] = THRESHOLDS) -> pa.Table:
    """Count what was measured.

    Recall is the share of copies that a rule finds, by kind and strength and (`ALL`) over them. Where nothing is said
    of the kinds' frequencies, all 36 count alike: it is no estimate of which copies occur in the subset.

    Precision stands with all copies together. Of a threshold: of the nearest pairs of the subset that it accepts, the
    share that the pixels confirm. Of verification: of the nearest pairs that it confirms, which are taken to be right,
    together with those of the pairs known to be none that it confirms (see `measure`), the share of the former.
    The refused pairs are asked once more, so both are over the same `other_pairs`, and those known to be none are
    `other_pairs - (other_pairs_accepted - false_positives)`; without any, verification could not go wrong, and has no
    precision. Copies that verification misses count against the thresholds that accept them, and what it confirms
    wrongly counts for them. Where an image has more than 16 others from 0.45 on, the furthest were left out, which
    flatters the low thresholds; `recommended_threshold` is careful about that.

    Intervals are Wilson's (1927) at 95 %. Copies and neighbors of one image are found or missed together, so their
    number is divided by the design effect (Kish 1965) where it is above 1.

    Args:
        measured: what `measure` gave.
        thresholds: similarities to judge, each from `NEAREST_FLOOR` on.

    Returns:
        table of `CALIBRATION_SCHEMA`: for each kind (then `ALL`), strength (then `ALL`) a row for each threshold,
        from the highest down, and one for verification; null where there is nothing to divide by; no rows without
        copies.

    Raises:
        ValueError: a threshold is below the floor.
    """
    values = sorted(set(thresholds), reverse=True)
    if values and values[-1] < NEAREST_FLOOR:
        raise ValueError(f"pairs below {NEAREST_FLOOR} are not looked at, so {values[-1]} cannot be judged")
    copies = measured.copies
    if not copies.num_rows:
        return CALIBRATION_SCHEMA.empty_table()
    kinds, strengths = _column(copies, "kind"), _column(copies, "strength")
    images = _numbered(copies["image_id"])
    similarity = _column(copies, "similarity")
    rules: list[tuple[str, float | None, np.ndarray]] = [
        (SIMILARITY, value, similarity >= np.float32(value)) for value in values
    ]
    rules.append((VERIFIED, None, _column(copies, "candidate") & _column(copies, "verified")))
    records = []
    for kind in (*KINDS, ALL):
        for strength in (*STRENGTHS, ALL):
            chosen = ((kind == ALL) | (kinds == kind)) & ((strength == ALL) | (strengths == strength))
            for rule, threshold, found in rules:
                low, high = _interval(found[chosen], images[chosen])
                record = {
                    "kind": kind,
                    "strength": strength,
                    "rule": rule,
                    "threshold": threshold,
                    "images": len(np.unique(images[chosen])),
                    "copies": int(chosen.sum()),
                    "copies_found": int(found[chosen].sum()),
                    "recall": float(found[chosen].mean()) if chosen.any() else None,
                    "recall_low": low,
                    "recall_high": high,
                }
                if kind == strength == ALL:
                    record |= _precision(measured.pairs, threshold)
                records.append(record)
    return pa.Table.from_pylist(records, schema=CALIBRATION_SCHEMA)


def _precision(pairs: pa.Table, threshold: float | None) -> dict[str, Any]:
    confirmed = _column(pairs, "verified")
    images = _numbered(pairs["image_id"])
    if threshold is None:
        wrong = _column(pairs, "copy_verified")
        accepted = confirmed | wrong
    else:
        accepted = _column(pairs, "similarity") >= np.float32(threshold)
    right = confirmed[accepted]
    tested = len(right) > 0 and not (threshold is None and confirmed.all())
    low, high = _interval(right, images[accepted]) if tested else (None, None)
    return {
        "other_pairs": pairs.num_rows,
        "other_pairs_accepted": len(right),
        "false_positives": int((~right).sum()),
        "precision": float(right.mean()) if tested else None,
        "precision_low": low,
        "precision_high": high,
    }


@dataclass(frozen=True)
class Recommendation:
    """A threshold for a subset.

    Attributes:
        threshold: similarity; None if none can be recommended.
        accepted: nearest pairs of the subset that it accepts.
        refused: those of them that the pixels refuse.
        note: why it is recommended, or why there is none; one sentence.
    """

    threshold: float | None
    accepted: int
    refused: int
    note: str


def recommended_threshold(pairs: pa.Table) -> Recommendation:
    """The lowest similarity, in steps of 0.01, at which 99 % of the subset's nearest pairs are right.

    Made copies are left out: with 36 of each image, they would be most of what is accepted, and the precision would
    say what was made. At each threshold an image counts only if all its others from there on were looked at: of an
    image with 50 near copies only the nearest 16 were, and they say nothing of the similarities below.

    Args:
        pairs: `Measured.pairs`.
    """
    similarity, complete = _column(pairs, "similarity"), _column(pairs, "complete_above")
    confirmed = _column(pairs, "verified")
    most = 0
    for step in range(round(NEAREST_FLOOR * 100), 101):
        threshold = step / 100
        accepted = (similarity >= np.float32(threshold)) & (complete < np.float32(threshold))
        count, refused = int(accepted.sum()), int((accepted & ~confirmed).sum())
        most = max(most, count)
        if count >= MIN_PAIRS and refused <= (1 - RECOMMENDED_PRECISION) * count:
            note = f"the pixels refuse {refused} of the {count} nearest pairs from {threshold:.2f} on"
            return Recommendation(threshold, count, refused, note)
    if most < MIN_PAIRS:
        note = f"no threshold has {MIN_PAIRS} nearest pairs to judge it by: the most are {most}"
    else:
        note = f"from no threshold with {MIN_PAIRS} or more nearest pairs on do the pixels confirm 99 % of them"
    return Recommendation(None, 0, 0, note)


def row_of(table: pa.Table, rule: str, threshold: float | None) -> dict[str, Any] | None:
    """The row of a rule over all copies; None if the table is empty.

    Args:
        table: of `CALIBRATION_SCHEMA`.
        rule: `SIMILARITY` or `VERIFIED`.
        threshold: of the similarity; None with `VERIFIED`.

    Raises:
        ValueError: the table has rows, but none for this.
    """
    if not table.num_rows:
        return None
    whole = table.filter(pc.and_(pc.equal(table["kind"], ALL), pc.equal(table["strength"], ALL)))
    for record in whole.to_pylist():
        if record["rule"] == rule and (rule == VERIFIED or record["threshold"] == threshold):
            return dict(record)
    raise ValueError(f"{rule} {threshold} was not calibrated")


def sentence(table: pa.Table, rule: str, threshold: float | None = None) -> str:
    """What a rule finds and wrongly claims, in a sentence for a report.

    Args:
        table: of `CALIBRATION_SCHEMA`, of one subset.
        rule: `SIMILARITY` or `VERIFIED`.
        threshold: of the similarity; None with `VERIFIED`.

    Raises:
        ValueError: the table has rows, but none for this.
    """
    row = row_of(table, rule, threshold)
    name = "comparing the pixels of candidates" if rule == VERIFIED else f"a similarity of {threshold:g}"
    if row is None:
        return f"No copies were made of this subset's own images, so what {name} finds was not measured."
    found = (
        f"On {row['copies']:,} copies made of {row['images']:,} of this subset's own images "
        f"({len(KINDS)} kinds at {len(STRENGTHS)} strengths), {name} finds {_percent(row['recall'])} "
        f"(95 % interval {_span(row['recall_low'], row['recall_high'])})"
    )
    pairs, accepted, wrong = (row[column] for column in ("other_pairs", "other_pairs_accepted", "false_positives"))
    if rule == SIMILARITY:
        claims = f"of {pairs:,} pairs of the subset's images with their nearest others it accepts {accepted:,}"
        return f"{found}; {claims}, of which the pixels refuse {wrong:,}." if accepted else f"{found}; {claims}."
    asked = pairs - (accepted - wrong)
    if not asked:
        return f"{found}; there was no pair of other images close enough to mislead it."
    return (
        f"{found}; of {asked:,} pairs of a copy with another image that is close to its original, but no copy of it, "
        f"it confirms {wrong:,} ({_percent(wrong / asked)}, 95 % interval {_span(*wilson_interval(wrong, asked))})."
    )


def sentences(table: pa.Table) -> Iterator[str]:
    """The sentences of all rules, thresholds from the highest down, then verification."""
    whole = table.filter(pc.and_(pc.equal(table["kind"], ALL), pc.equal(table["strength"], ALL)))
    for record in whole.to_pylist():
        yield sentence(table, record["rule"], record["threshold"])


def _interval(hits: np.ndarray, images: np.ndarray) -> tuple[float | None, float | None]:
    """Wilson's interval of a share of hits, bool [n], that come in clusters by image, int64 [n]."""
    trials, share = float(len(hits)), float(hits.mean()) if len(hits) else 0.0
    clusters = len(np.unique(images))
    if 1 < clusters < len(hits) and 0 < share < 1:
        # Variance of a ratio estimator between clusters (Cochran 1977), over that of independent trials.
        spread = float((np.bincount(images, hits - share) ** 2).sum()) * clusters / (clusters - 1)
        trials /= max(1.0, spread / (share * (1 - share) * len(hits)))
        return wilson_interval(share * trials, trials)
    return wilson_interval(int(hits.sum()), len(hits))


def _column(table: pa.Table, name: str) -> np.ndarray:
    """A column as an array; a null counts as false."""
    column = table[name].combine_chunks()
    if pa.types.is_boolean(column.type):
        column = pc.fill_null(column, False)
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _numbered(image_ids: pa.ChunkedArray) -> np.ndarray:
    """Equal image_ids by equal numbers from 0: int64 [n]."""
    numbers: np.ndarray = np.unique(np.asarray(image_ids.to_pylist(), dtype=str), return_inverse=True)[1]
    return numbers.reshape(-1)


def _percent(share: float) -> str:
    decimals = 1 if 0 < share < 0.0995 or 0.9905 < share < 1 else 0
    return f"{100 * share:.{decimals}f} %"


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "unknown"
    return f"{_percent(low).removesuffix(' %')} to {_percent(high)}"
