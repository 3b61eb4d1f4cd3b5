"""The clusters of copies in all subsets together, and the decision about each position, from the lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.decisions import decide_positions, without_verdicts
from visdiv_assets.curation.linked_images import load_linked_images, load_positions
from visdiv_assets.curation.row_findings import RowFacts, load_row_facts
from visdiv_assets.curation.text_rows import TEXT_ROWS_SCHEMA, repeated_rows
from visdiv_assets.curation.witnesses import duplicate_rows
from visdiv_assets.duplicates.clusters import component_sizes, summarize_groups, with_leaders
from visdiv_assets.duplicates.text_corpus import require_current_duplicates
from visdiv_assets.storage.lake import Lake


@dataclass(frozen=True)
class CorpusClusters:
    """The clusters of a corpus.

    Attributes:
        positions: table of `decisions.POSITIONS_SCHEMA`: the positions of all clusters, and which are kept.
        summary: table of `clusters.SUMMARY_SCHEMA`.
        sizes: table of `clusters.SIZES_SCHEMA`: the largest components of close pairs at each threshold.
        text_rows: table of `text_rows.TEXT_ROWS_SCHEMA`: rows dropped for the reason text_duplicate.
    """

    positions: pa.Table
    summary: pa.Table
    sizes: pa.Table
    text_rows: pa.Table


def cluster_corpus(
    lake: Lake,
    subsets: Sequence[str],
    not_selected: Mapping[str, np.ndarray],
    *,
    copies_by: str,
    duplicate_threshold: float,
    contamination_threshold: float,
    text_contamination_share: float,
    image_profile: str,
    text_profile: str,
    row_rule: str,
    drop: Sequence[str],
    thresholds: Sequence[float],
) -> CorpusClusters:
    """Cluster the copies in some subsets, and decide which position of each cluster is kept.

    Args:
        lake: where the findings of the subsets are.
        subsets: their names, sorted.
        not_selected: masks of the rows that were not selected, by subset; see `keep_masks`.
        copies_by: `pixels` links confirmed pairs, `similarity` pairs that reach the duplicate threshold. Either way,
            pairs that people refuted are not linked, and those that they confirmed are.
        duplicate_threshold: similarity from which a pair is linked.
        contamination_threshold: similarity from which an image is contaminated.
        text_contamination_share: share of n-grams in a benchmark from which on a text is contaminated.
        image_profile: issues that make an image poor; see `row_quality`.
        text_profile: limits that make a turn poor.
        row_rule: how many images of a row must be redundant for the row to be dropped.
        drop: reasons that count.
        thresholds: at which component sizes are given.
    """
    facts = [
        load_row_facts(
            lake,
            subset,
            copies_by=copies_by,
            contamination_threshold=contamination_threshold,
            text_contamination_share=text_contamination_share,
            image_profile=image_profile,
            text_profile=text_profile,
            drop=drop,
            not_selected=not_selected.get(subset),
        )
        for subset in subsets
    ]
    linked = load_linked_images(lake, subsets, copies_by)
    positions = load_positions(lake, facts, linked.image_ids)
    copies = linked.copies
    if copies_by == "similarity":
        priority = positions.image_priority(len(linked.image_ids))
        led = with_leaders(linked.vectors, copies.pairs, priority, duplicate_threshold)
        copies = linked.obeying(without_verdicts(led))
    decided = decide_positions(positions, linked.image_ids, copies, subsets, rule=row_rule)
    summary = summarize_groups(linked.image_ids, linked.vectors, decided.component, decided.center)
    close = linked if copies_by == "similarity" else load_linked_images(lake, subsets, "similarity")
    sizes = component_sizes(len(close.image_ids), close.copies.pairs, thresholds)
    return CorpusClusters(decided.positions, summary, sizes, _text_rows(lake, facts, decided.positions, drop))


def _text_rows(lake: Lake, facts: Sequence[RowFacts], positions: pa.Table, drop: Sequence[str]) -> pa.Table:
    """Return the rows that repeat another one, of those that no other reason drops."""
    if "text_duplicate" not in drop:
        return TEXT_ROWS_SCHEMA.empty_table()
    require_current_duplicates(lake, [each.subset for each in facts])
    dropped = []
    for of_subset in facts:
        mask = of_subset.blocked > 0
        if "duplicate" in drop:
            mask[duplicate_rows(positions, of_subset.subset)["row"].to_numpy()] = True
        dropped.append(mask)
    return repeated_rows(lake, [each.subset for each in facts], [each.rating for each in facts], dropped)
