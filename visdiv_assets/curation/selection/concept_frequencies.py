"""How often the concepts of a list occur in texts, and how much of each subset is about rare ones.

The concepts and their matching are MetaCLIP's (see `metaclip`). A concept is in the tail if at most t texts have it,
where t is the threshold by which MetaCLIP would balance the texts: those texts it would keep in full. Audits of CLIP's
robustness (such as "Generalization Beyond Data Imbalance", arXiv 2405.21070) start from such frequencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.selection.metaclip import EntryMatcher, threshold_of_tail
from visdiv_assets.curation.selection.options import TAIL_SHARE
from visdiv_assets.progress import Progress, silent
from visdiv_assets.texts.columns import Texts, each_text

CONCEPTS_SCHEMA = pa.schema(
    [
        ("concept", pa.string()),
        ("texts", pa.int64()),
        ("share", pa.float64()),
        ("subsets", pa.int32()),
        ("tail", pa.bool_()),
    ]
)
SUBSETS_SCHEMA = pa.schema(
    [
        ("subset", pa.string()),
        ("texts", pa.int64()),
        ("texts_matched", pa.int64()),
        ("concepts", pa.int64()),
        ("matches", pa.int64()),
        ("tail_concepts", pa.int64()),
        ("tail_matches", pa.int64()),
        ("tail_share", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ConceptFrequencies:
    """The result of `concept_frequencies`.

    Attributes:
        concepts: table of `CONCEPTS_SCHEMA`, most frequent first: the texts with a concept and their share of all
            texts, the subsets that have it, and whether it is in the tail. Concepts that no text has are listed last.
        subsets: table of `SUBSETS_SCHEMA`, in order: texts, those with a concept, different concepts, pairs of a text
            and a concept (matches), and those of tail concepts with their share, null without matches.
        threshold: t, the most texts of a concept in the tail.
    """

    concepts: pa.Table
    subsets: pa.Table
    threshold: int


def concept_frequencies(
    matcher: EntryMatcher, texts: Mapping[str, Texts], *, tail_share: float = TAIL_SHARE, progress: Progress = silent
) -> ConceptFrequencies:
    """Count the texts that each concept occurs in, over all subsets and in each.

    Args:
        matcher: the concepts.
        texts: Arrow strings of each subset, read once, one at a time.
        tail_share: share of all matches that the tail's make up, which determines t.
        progress: called with 1 for each text.

    Raises:
        InputError: no text has a concept, or the share is not between 0 and 1.
    """
    entries = len(matcher.entries)
    total, subsets_with = np.zeros(entries, np.int64), np.zeros(entries, np.int32)
    found: list[tuple[int, int, np.ndarray, np.ndarray]] = []
    for of_subset in texts.values():
        counts = np.zeros(entries, np.int64)
        read = matched = 0
        for text in each_text(of_subset):
            indices = matcher.matches(text)
            counts[indices] += 1
            read += 1
            matched += bool(len(indices))
            progress(1)
        # Few concepts of a long list occur in one subset.
        used = np.flatnonzero(counts)
        total += counts
        subsets_with[used] += 1
        found.append((read, matched, used, counts[used]))
    threshold = threshold_of_tail(total, tail_share)
    tail = total <= threshold
    order = np.lexsort((np.arange(entries), -total))
    texts_read = sum(read for read, *_ in found)
    concepts = pa.table(
        [
            pa.array(list(matcher.entries), pa.string()).take(pa.array(order)),
            total[order],
            total[order] / max(texts_read, 1),
            subsets_with[order],
            pa.array(tail[order]),
        ],
        schema=CONCEPTS_SCHEMA,
    )
    records = []
    for subset, (read, matched, used, counts) in zip(texts, found, strict=True):
        matches, rare = int(counts.sum()), counts[tail[used]]
        share = int(rare.sum()) / matches if matches else None
        records.append([subset, read, matched, len(used), matches, len(rare), int(rare.sum()), share])
    rows = [dict(zip(SUBSETS_SCHEMA.names, record, strict=True)) for record in records]
    return ConceptFrequencies(concepts, pa.Table.from_pylist(rows, SUBSETS_SCHEMA), threshold)
