"""Compute recall and precision of thresholds, of verification and of its confidence: the table `calibration`."""

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

#: The rule that accepts a pair if its similarity reaches the threshold.
SIMILARITY = "similarity"
#: The rule that accepts a pair if it is a candidate (by SSCD or PDQ) and verification confirms it.
VERIFIED = "verified"
#: The rule that accepts a pair if it is a candidate and its confidence reaches the threshold.
CONFIDENCE = "confidence"

#: The values of `thresholds.NAMED_THRESHOLDS`, and lower ones down to the floor of candidate pairs.
THRESHOLDS = (0.95, 0.93, 0.90, 0.75, 0.60, 0.45)

#: Confidences, for the curve of precision and recall that they give.
FLOORS = (0.99, 0.95, 0.9, 0.8, 0.5)

#: Minimum precision of a recommended threshold.
RECOMMENDED_PRECISION = 0.99
#: Minimum number of pairs for a recommendation. Even with 20 of 20 right, the 95 % interval includes 16 % errors.
MIN_PAIRS = 20


def compute_rates(measured: Measurement, thresholds: Iterable[float] = THRESHOLDS) -> pa.Table:
    """Compute recall and precision of each rule.

    Recall is the share of copies that a rule finds, by kind and strength. Over all kinds (`ALL`) it is the mean over
    the kinds: all have the same weight, because their frequencies in the subset are not known.

    Precision is given for all copies together. The precision of a threshold is the share of confirmed pairs among the
    nearest pairs of the subset that it accepts. The precision of verification is the share of the nearest pairs that it
    confirms, which count as right, among these pairs and the pairs known not to be copies that it confirms (see
    `measure`). Every pair that is not confirmed is tested once more, so both are relative to the same `other_pairs`,
    and the number of pairs known not to be copies is `other_pairs - (other_pairs_accepted - false_positives)`; without
    any, verification has no precision. That of a confidence is computed as that of verification, from the pairs that
    reach the confidence. Copies that verification misses count against the thresholds that accept them, and wrongly
    confirmed pairs count for them. For an image with more than 16 other images from 0.45 on, the furthest are left out,
    which favors the low thresholds; `recommended_threshold` accounts for that.

    Intervals are Wilson's at 95 % (`wilson_interval`). The copies and neighbors of one image are found or missed
    together, so their number is divided by the design effect (Kish 1965) if that is above 1.

    Args:
        measured: the result of `measure`.
        thresholds: similarities, each from `NEAREST_FLOOR` on.

    Returns:
        table of `CALIBRATION_SCHEMA`: for each kind (then `ALL`) and strength (then `ALL`), one row for each threshold,
        from the highest down, one for each of `FLOORS`, and one for verification; null where the denominator is 0.
        Without copies, it has no rows.

    Raises:
        ValueError: a threshold is below the floor.
    """
    values = sorted(set(thresholds), reverse=True)
    if values and values[-1] < NEAREST_FLOOR:
        raise ValueError(f"threshold {values[-1]} is below {NEAREST_FLOOR}, the minimum similarity of measured pairs")
    copies = measured.copies
    if not copies.num_rows:
        return CALIBRATION_SCHEMA.empty_table()
    kinds, strengths = _column(copies, "kind"), _column(copies, "strength")
    images = _label_images(copies["image_id"])
    similarity = _column(copies, "similarity")
    rules: list[tuple[str, float | None, np.ndarray]] = [
        (SIMILARITY, value, similarity >= np.float32(value)) for value in values
    ]
    candidate, confidence = _column(copies, "candidate"), _column(copies, "confidence")
    rules += [(CONFIDENCE, floor, candidate & (confidence >= np.float32(floor))) for floor in FLOORS]
    rules.append((VERIFIED, None, candidate & _column(copies, "verified")))
    records = []
    for kind in (*KINDS, ALL):
        for strength in (*STRENGTHS, ALL):
            chosen = ((kind == ALL) | (kinds == kind)) & ((strength == ALL) | (strengths == strength))
            weights = _equal_weights(kinds[chosen])
            for rule, threshold, found in rules:
                recall, low, high = _clustered_share(found[chosen], images[chosen], weights)
                record = {
                    "kind": kind,
                    "strength": strength,
                    "rule": rule,
                    "threshold": threshold,
                    "images": len(np.unique(images[chosen])),
                    "copies": int(chosen.sum()),
                    "copies_found": int(found[chosen].sum()),
                    "recall": recall,
                    "recall_low": low,
                    "recall_high": high,
                }
                if kind == strength == ALL:
                    record |= _precision(measured.pairs, rule, threshold)
                records.append(record)
    return pa.Table.from_pylist(records, schema=CALIBRATION_SCHEMA)


def _precision(pairs: pa.Table, rule: str, threshold: float | None) -> dict[str, Any]:
    """Return the columns about precision of a rule."""
    confirmed = _column(pairs, "verified")
    images = _label_images(pairs["image_id"])
    if rule == SIMILARITY:
        accepted = _column(pairs, "similarity") >= np.float32(threshold)
        right = confirmed
    elif rule == CONFIDENCE:
        right = confirmed & (_column(pairs, "confidence") >= np.float32(threshold))
        accepted = right | (_column(pairs, "copy_confidence") >= np.float32(threshold))
    else:
        right = confirmed
        accepted = confirmed | _column(pairs, "copy_verified")
    right = right[accepted]
    tested = len(right) > 0 and not (rule != SIMILARITY and confirmed.all())
    share, low, high = _clustered_share(right, images[accepted]) if tested else (None, None, None)
    return {
        "other_pairs": pairs.num_rows,
        "other_pairs_accepted": len(right),
        "false_positives": int((~right).sum()),
        "precision": share,
        "precision_low": low,
        "precision_high": high,
    }


@dataclass(frozen=True)
class Recommendation:
    """The recommended threshold of a subset.

    Attributes:
        threshold: similarity; None if no threshold can be recommended.
        accepted: number of the nearest pairs of the subset that it accepts.
        refused: number of the accepted pairs that verification does not confirm.
        note: the reason for the recommendation, or for its absence, in one sentence.
    """

    threshold: float | None
    accepted: int
    refused: int
    note: str


def recommended_threshold(pairs: pa.Table) -> Recommendation:
    """Return the lowest similarity, in steps of 0.01, at which 99 % of the subset's nearest pairs are right.

    Made copies are left out: with a copy of every kind, they would dominate the accepted pairs, and the precision
    would describe what was made. At each threshold, an image counts only if all its neighbors from there on were
    measured: of an image with 50 close neighbors only the nearest 16 were, which say nothing about lower similarities.

    Args:
        pairs: `Measurement.pairs`.
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
            note = f"verification does not confirm {refused} of the {count} nearest pairs at or above {threshold:.2f}"
            return Recommendation(threshold, count, refused, note)
    if most < MIN_PAIRS:
        note = f"no threshold accepts the required {MIN_PAIRS} nearest pairs; the maximum is {most}"
    else:
        note = f"no threshold with {MIN_PAIRS} or more nearest pairs has 99 % of them confirmed by verification"
    return Recommendation(None, 0, 0, note)


def row_of(table: pa.Table, rule: str, threshold: float | None) -> dict[str, Any] | None:
    """Return the row of a rule over all copies; None if the table is empty.

    Args:
        table: table of `CALIBRATION_SCHEMA`.
        rule: `SIMILARITY`, `CONFIDENCE` or `VERIFIED`.
        threshold: threshold of the similarity or confidence; None with `VERIFIED`.

    Raises:
        ValueError: the table has rows, but none for this rule and threshold.
    """
    if not table.num_rows:
        return None
    whole = table.filter(pc.and_(pc.equal(table["kind"], ALL), pc.equal(table["strength"], ALL)))
    for record in whole.to_pylist():
        if record["rule"] == rule and (rule == VERIFIED or record["threshold"] == threshold):
            return dict(record)
    raise ValueError(f"the calibration has no row for rule {rule!r} at threshold {threshold}")


def sentence(table: pa.Table, rule: str, threshold: float | None = None) -> str:
    """Return a sentence for a report about the recall and the errors of a rule.

    Args:
        table: table of `CALIBRATION_SCHEMA` of one subset.
        rule: `SIMILARITY` or `VERIFIED`.
        threshold: threshold of the similarity; None with `VERIFIED`.

    Raises:
        ValueError: the table has rows, but none for this rule and threshold.
    """
    row = row_of(table, rule, threshold)
    name = "verification of candidate pairs" if rule == VERIFIED else f"a similarity of {threshold:g}"
    if row is None:
        return f"No copies were made of this subset's images, so the recall of {name} was not measured."
    found = (
        f"Of {row['copies']:,} copies made of {row['images']:,} of this subset's images, {name} finds "
        f"{_percent(row['recall'])} (mean over {len(KINDS)} kinds of edits, mild and strong; 95 % interval "
        f"{_interval_text(row['recall_low'], row['recall_high'])})"
    )
    pairs, accepted, wrong = (row[column] for column in ("other_pairs", "other_pairs_accepted", "false_positives"))
    if rule == SIMILARITY:
        claims = f"of {pairs:,} pairs of the subset's images with their nearest other images it accepts {accepted:,}"
        judged = f", of which verification does not confirm {wrong:,}" if accepted else ""
        return f"{found}; {claims}{judged}."
    tested = pairs - (accepted - wrong)
    if not tested:
        return f"{found}; no other images were close enough to test it for errors."
    interval = _interval_text(*wilson_interval(wrong, tested))
    return (
        f"{found}; of {tested:,} pairs of a copy and another image that is close to the original but not a copy of it, "
        f"it confirms {wrong:,} ({_percent(wrong / tested)}, 95 % interval {interval})."
    )


def sentences(table: pa.Table) -> Iterator[str]:
    """Yield the sentences of the thresholds, from the highest down, and of verification."""
    whole = table.filter(pc.and_(pc.equal(table["kind"], ALL), pc.equal(table["strength"], ALL)))
    for record in whole.filter(pc.not_equal(whole["rule"], CONFIDENCE)).to_pylist():
        yield sentence(table, record["rule"], record["threshold"])


def _equal_weights(kinds: np.ndarray) -> np.ndarray:
    """Return weights [n] of copies, 1 on average, that are equal for each kind in sum."""
    labels, counts = np.unique(kinds, return_inverse=True, return_counts=True)[1:]
    return np.asarray(len(kinds) / max(1, len(counts)) / counts[labels.reshape(-1)])


def _clustered_share(
    hits: np.ndarray, images: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float | None, float | None, float | None]:
    """Compute a weighted share of hits, bool [n], in clusters by image, int64 [n], and Wilson's interval of it."""
    if not len(hits):
        return None, None, None
    weights = np.ones(len(hits)) if weights is None else weights
    trials, share = float(weights.sum() ** 2 / (weights**2).sum()), float((weights * hits).sum() / weights.sum())
    clusters = len(np.unique(images))
    if hits.all() or not hits.any():
        return float(hits[0]), *wilson_interval(float(hits[0]) * trials, trials)
    if 1 < clusters < len(hits):
        # The variance of a ratio estimator between clusters (Cochran 1977), if it exceeds that of independent trials.
        sums = np.bincount(images, weights * (hits - share))
        between = float((sums**2).sum()) * clusters / (clusters - 1) / float(weights.sum()) ** 2
        trials = share * (1 - share) / max(between, share * (1 - share) / trials)
    return share, *wilson_interval(share * trials, trials)


def _column(table: pa.Table, name: str) -> np.ndarray:
    """Return a column as an array, with false for null."""
    column = table[name].combine_chunks()
    if pa.types.is_boolean(column.type):
        column = pc.fill_null(column, False)
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _label_images(image_ids: pa.ChunkedArray) -> np.ndarray:
    """Return labels from 0 that are equal for equal image_ids: int64 [n]."""
    labels: np.ndarray = np.unique(np.asarray(image_ids.to_pylist(), dtype=str), return_inverse=True)[1]
    return labels.reshape(-1)


def _percent(share: float) -> str:
    decimals = 1 if 0 < share < 0.0995 or 0.9905 < share < 1 else 0
    return f"{100 * share:.{decimals}f} %"


def _interval_text(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "unknown"
    return f"{_percent(low).removesuffix(' %')} to {_percent(high)}"
