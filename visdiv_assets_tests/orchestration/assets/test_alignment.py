"""`alignment` and `clip_near_duplicates` on small lakes with made-up CLIP vectors, and their tables."""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np
import pytest

from visdiv_assets.orchestration.assets.alignment import alignment
from visdiv_assets.orchestration.assets.clip_pairs import clip_near_duplicates
from visdiv_assets.orchestration.resources import ClipResource, build_resources
from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets_tests.conftest import Pipeline, Ran, Row, image, near_copy, other_model, written_at
from visdiv_assets_tests.testing.clip_lakes import add_clip_images, add_clip_texts

SUBSET = "some"
#: Assets that the tests need before those of CLIP.
BEFORE = ("subset_images", "subset_turns", "sscd_embeddings")


@pytest.fixture
def listed(pipeline: Pipeline) -> Pipeline:
    """Rows with one image, two, an unreadable one, none, and the first again; colors stand in for SSCD."""
    rows = [Row([image(1)], turns=2), Row([image(2), near_copy(1)]), Row([b"broken"]), Row([]), Row([image(1)])]
    pipeline.write(SUBSET, rows[:2], rows[2:])
    ran = pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color"))
    assert ran.success, ran.failures
    return pipeline


def image_ids(pipeline: Pipeline) -> list[str]:
    store = pipeline.lake
    ids: list[str] = store.read(store.require("sscd_embeddings", SUBSET), "ids")["image_id"].to_pylist()
    return ids


def add_vectors(pipeline: Pipeline, **texts: Any) -> None:
    """Add CLIP vectors: images along the axes, the near copy close to the first; texts between them."""
    store = pipeline.lake
    images = store.require("subset_images", SUBSET)
    first, second, copy = image_ids(pipeline)
    add_clip_images(store, SUBSET, {first: [1, 0, 0], second: [0, 1, 0], copy: [0.975, 0, 0.22]}, images=images)
    turns = [(0, 0, "near"), (0, 1, "far"), (1, 0, "between"), (2, 0, "near"), (3, 0, "near"), (4, 0, "")]
    vectors = {"near": [3, 4, 0], "far": [-1, 0, 0], "between": [0, 0.6, 0.8]}
    add_clip_texts(store, SUBSET, vectors, turns, images=images, truncated=["far"], **texts)


def run(pipeline: Pipeline, *assets: dg.AssetsDefinition) -> Ran:
    sources = [dg.AssetSpec(key) for key in ("subset_images", "sscd_embeddings")]
    result = dg.materialize(
        [*assets, *sources],
        instance=pipeline.instance,
        partition_key=SUBSET,
        resources=build_resources(pipeline.settings),
        raise_on_error=False,
    )
    return Ran(result)


@pytest.fixture
def scored(listed: Pipeline) -> Pipeline:
    add_vectors(listed)
    return listed


def test_only_rows_with_images_and_texts_have_clip_scores(scored: Pipeline) -> None:
    ran = run(scored, alignment)
    assert ran.success, ran.failures
    assert ran.checks["scores_sound"].passed
    publish(scored.lake, scored.settings.warehouse_path)
    rows = scored.query(
        """SELECT "row", turns, turns_scored, turns_truncated, images, round(cosine_min::DOUBLE, 3),
        round(cosine_mean::DOUBLE, 3), round(clip_score_min::DOUBLE, 3), round(clip_score_mean::DOUBLE, 3)
        FROM alignment ORDER BY "row" """
    )
    assert rows == [
        (0, 2, 2, 1, 1, -1, -0.2, 0, 0.75),
        (1, 1, 1, 0, 2, 0.6, 0.6, 1.5, 1.5),
        (2, 1, 0, 0, 0, None, None, None, None),
        (3, 1, 0, 0, 0, None, None, None, None),
        (4, 1, 0, 0, 1, None, None, None, None),
    ]
    metadata = ran.metadata("alignment")
    assert (metadata["rows_scored"], metadata["turns"], metadata["turns_scored"]) == (2, 6, 3)
    assert metadata["share_truncated"] == pytest.approx(1 / 5)
    assert all(
        metadata[name].startswith(f"![{name[:-5]} rows](data:image/jpeg;") for name in ("worst_rows", "best_rows")
    )


def test_the_turns_and_their_mean_over_the_images_are_stored(scored: Pipeline) -> None:
    assert run(scored, alignment).success
    store = scored.lake
    turns = store.read(store.require("alignment", SUBSET), "turns").to_pylist()
    assert [(turn["row"], turn["turn"]) for turn in turns] == [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0)]
    copied = 0.22 * 0.8 / np.hypot(0.975, 0.22)
    assert turns[2]["cosine"] == pytest.approx(0.6, abs=1e-3)
    assert turns[2]["cosine_mean"] == pytest.approx((0.6 + copied) / 2, abs=1e-3)
    assert turns[2]["clip_score_mean"] == pytest.approx(2.5 * (0.6 + copied) / 2, abs=3e-3)
    assert [turn["truncated"] for turn in turns] == [False, True, False, False, False, None]


def test_the_shares_that_named_thresholds_keep_are_published(scored: Pipeline) -> None:
    assert run(scored, alignment).success
    publish(scored.lake, scored.settings.warehouse_path)
    found = scored.query(
        "SELECT name, count_reached, count_scored FROM alignment_summary "
        "WHERE unit = 'turn' AND statistic = 'filter' ORDER BY name"
    )
    assert found == [("datacomp_top_30", 2, 3), ("laion_400m", 2, 3), ("laion_5b", 2, 3)]
    assert scored.query("SELECT count(*) FROM alignment_summary WHERE remark LIKE '%alt-text%'") == [(4,)]


def test_a_second_run_repeats_nothing(scored: Pipeline) -> None:
    assert run(scored, alignment, clip_near_duplicates).success
    tables = ("alignment", "clip_near_duplicates")
    before = written_at(scored.settings.lake_root, *tables)
    assert run(scored, alignment, clip_near_duplicates).success
    assert written_at(scored.settings.lake_root, *tables) == before


def test_texts_of_other_weights_are_refused_in_one_line(listed: Pipeline) -> None:
    add_vectors(listed, model="small@ba9876543210/text_77")
    ran = run(listed, alignment)
    assert "run `visdiv run some` with CLIP weights in VISDIV_CLIP_MODEL" in str(ran.failures["alignment"])


def test_without_weights_older_vectors_give_no_scores(scored: Pipeline) -> None:
    scored.write(SUBSET, [Row([image(7)])])
    assert scored.run(SUBSET, only=["subset_images"]).success
    ran = run(scored, alignment)
    assert ran.success, ran.failures
    assert "no CLIP weights" in str(ran.metadata("alignment")["made_nothing"])
    assert scored.lake.manifest("alignment", SUBSET) is None


def test_with_weights_older_vectors_are_refused(scored: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClipResource, "missing_weights", lambda self: "")
    scored.write(SUBSET, [Row([image(7)])])
    assert scored.run(SUBSET, only=["subset_images"]).success
    ran = run(scored, alignment)
    assert "clip_image_embeddings of 'some' is older than its subset_images" in str(ran.failures["alignment"])


def test_a_subset_without_images_and_texts_has_no_scores(pipeline: Pipeline) -> None:
    pipeline.write(SUBSET, [Row([], turns=0)])
    assert pipeline.run(SUBSET, only=BEFORE, sscd=other_model("color")).success
    images = pipeline.lake.require("subset_images", SUBSET)
    add_clip_images(pipeline.lake, SUBSET, {}, images=images)
    add_clip_texts(pipeline.lake, SUBSET, {}, [], images=images)
    ran = run(pipeline, alignment, clip_near_duplicates)
    assert ran.success, ran.failures
    assert "worst_rows" not in ran.metadata("alignment")
    assert "disputed_pairs" not in ran.metadata("clip_near_duplicates")
    assert "disputed" in ran.metadata("clip_near_duplicates")


def test_what_clip_calls_close_and_sscd_does_not_is_one_query(scored: Pipeline) -> None:
    store = scored.lake
    first, _, copy = image_ids(scored)
    # The two are far apart by SSCD.
    manifest = store.require("sscd_embeddings", SUBSET)
    ran = run(scored, clip_near_duplicates)
    assert ran.success, ran.failures
    assert ran.checks["clip_pairs_sound"].passed
    publish(store, scored.settings.warehouse_path)
    (pair,) = scored.query("SELECT image_id_a, image_id_b, clip_similarity, sscd_similarity FROM clip_pairs")
    assert pair[:2] == tuple(sorted((first, copy)))
    assert scored.query("SELECT images, kept_per_image, pairs, pairs_stored FROM clip_pair_summary") == [(3, 8, 1, 1)]
    assert ran.metadata("clip_near_duplicates")["pairs_left_out"] == 0
    assert pair[2] == pytest.approx(0.975, abs=2e-3)
    ids, vectors = store.read(manifest, "ids")["image_id"].to_pylist(), store.array(manifest, "vectors")[:]
    stored = dict(zip(ids, vectors.astype(np.float64), strict=True))
    assert pair[3] == pytest.approx(stored[first] @ stored[copy], abs=1e-3)
    found = scored.query(
        """SELECT a."row", b."row" FROM clip_pairs p
        JOIN images a ON a.subset = p.subset AND a.image_id = p.image_id_a
        JOIN images b ON b.subset = p.subset AND b.image_id = p.image_id_b
        WHERE p.clip_similarity >= 0.95 AND p.sscd_similarity < 1.01 ORDER BY ALL"""
    )
    assert sorted(map(sorted, found)) == [[0, 1], [1, 4]]
    assert ran.metadata("clip_near_duplicates")["disputed_pairs"].startswith("![disputed pairs](data:image/jpeg;")
