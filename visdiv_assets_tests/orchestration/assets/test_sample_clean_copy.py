"""The clean copy of the sample: which rows go, for which reasons, and what is kept instead."""

from __future__ import annotations

import json

import numpy as np
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.clean_copy import load_decisions
from visdiv_assets.wiring import cleaning_rules, quality_filter
from visdiv_assets_tests.conftest import SAMPLE
from visdiv_assets_tests.orchestration.assets.sample_runs import SUBSETS, Sample, compared_pairs


def test_rows_that_go_and_rows_that_stay_are_all_rows_each_once(sample: Sample) -> None:
    dropped = sample.query("SELECT subset, row FROM dropped_rows")
    assert len(set(dropped)) == len(dropped)
    rows = dict(sample.query('SELECT subset, "rows" FROM subsets'))
    kept = {}
    for decision in load_decisions(
        sample.lake, sources.open(str(SAMPLE)), cleaning_rules(sample.settings), quality_filter(sample.settings)
    ):
        going = [row for subset, row in dropped if subset == decision.subset]
        assert len(decision.kept) == rows[decision.subset]
        assert np.flatnonzero(~decision.kept).tolist() == sorted(going)
        kept[decision.subset] = int(decision.kept.sum())
    assert kept.keys() == set(SUBSETS)
    assert sum(kept.values()) + len(dropped) == sum(rows.values())
    manifest = sample.lake.require("curated_rows", "all")
    assert manifest.facts["rows"] == rows
    assert manifest.rows("dropped") == len(dropped)


def test_reasons_follow_from_the_truth_and_the_pixels(sample: Sample) -> None:
    rows = sample.query("SELECT subset, row, reason FROM dropped_rows")
    by_reason = {reason: {row[:2] for row in rows if row[2] == reason} for *_, reason in rows}
    special = json.loads((SAMPLE / "truth.json").read_text(encoding="utf-8"))["special_rows"]
    unreadable = {(row["subset"], row["row"]) for row in special if not row["readable"]}
    quality = set(sample.query("SELECT DISTINCT subset, row FROM dropped_rows WHERE reason = 'quality'"))
    leaking = set(sample.query("SELECT DISTINCT subset, row FROM contamination_pairs WHERE verdict = 'confirmed'"))
    assert by_reason["unreadable"] == unreadable
    assert by_reason["contaminated"] == leaking - unreadable - quality
    assert by_reason["contaminated"]
    assert len(by_reason["duplicate"]) >= 20


def test_every_witness_exists_is_kept_and_has_its_similarity(sample: Sample) -> None:
    dropped = sample.query(
        "SELECT subset, row, image_index, reason, witness_kind, witness, witness_row, witness_image_index, similarity "
        "FROM dropped_rows"
    )
    gone = {row[:2] for row in dropped}
    for subset, row, index, reason, kind, *witness, similarity in dropped:
        if reason in ("unreadable", "quality"):
            assert (kind, *witness, similarity) == (None,) * 5
            continue
        place, other = (subset, row, index), tuple(witness)
        assert kind == ("benchmark" if reason == "contaminated" else "subset")
        assert place in sample.image_id
        assert other in sample.image_id
        if reason == "duplicate":
            assert other[:2] not in gone
            assert other[:2] != place[:2]
        exact = sample.image_id[place] == sample.image_id[other]
        real = 1 if exact and reason == "duplicate" else min(sample.similarity(place, other), 1)
        assert similarity == pytest.approx(real, abs=1e-6)


def test_images_of_dropped_duplicates_have_copies_in_kept_rows(sample: Sample) -> None:
    """The copy is the center of the cluster, and not dropped."""
    gone = set(sample.query("SELECT subset, row FROM dropped_rows"))
    positions = [place for subset in SUBSETS for place in sample.positions[subset]]
    clusters = {
        row[:3]: row[3:]
        for row in sample.query("SELECT subset, row, image_index, cluster_id, keep FROM duplicate_clusters")
    }
    kept_clusters = {cluster for place, (cluster, keep) in clusters.items() if keep and place[:2] not in gone}
    duplicates = set(sample.query("SELECT subset, row FROM dropped_rows WHERE reason = 'duplicate'"))
    for place in positions:
        if place[:2] in duplicates:
            assert clusters[place][0] in kept_clusters
    assert {cluster for cluster, keep in clusters.values() if keep} == kept_clusters
    # Kept rows hold no two byte-equal images, unless another image keeps the row.
    alone = [place for place in positions if place[:2] not in gone and (*place[:2], 1) not in sample.image_id]
    names = [sample.image_id[place] for place in alone]
    assert len(set(names)) == len(names)


def test_dropped_duplicates_are_confirmed_against_their_witness(sample: Sample) -> None:
    verdicts = {(pair["a"], pair["b"]): pair["evidence"] for pair in compared_pairs(sample) if pair["verified"]}
    dropped = sample.query(
        "SELECT subset, row, image_index, witness, witness_row, witness_image_index, evidence FROM dropped_rows "
        "WHERE reason = 'duplicate'"
    )
    near = 0
    for *places, evidence in dropped:
        a, b = sorted((sample.image_id[tuple(places[:3])], sample.image_id[tuple(places[3:])]))
        assert evidence == ("identical_pixels" if a == b else verdicts[a, b])
        near += a != b
    assert near
