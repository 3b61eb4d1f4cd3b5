"""The asset `masked_alignment` and its tables, with a small CLIP and a reader that finds what a test wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visdiv_assets.embedding.loading import load_clip_images, load_clip_texts
from visdiv_assets.orchestration.assets import image_texts
from visdiv_assets.orchestration.assets.clip_optional import LEFT_OUT_TAG
from visdiv_assets.texts.ocr import sample
from visdiv_assets.texts.ocr.masking import mask_boxes
from visdiv_assets_tests.conftest import Pipeline, Row, image, made_once, shapes, write_shard, written_at
from visdiv_assets_tests.orchestration.assets.test_image_texts import (
    SUBSET,
    Telling,
    publish_and_ask,
    run_ocr,
    said,
)
from visdiv_assets_tests.testing.clip_models import small_clip
from visdiv_assets_tests.testing.small_lakes import copy_lake, run_stages

BEFORE = ("subset_images", "subset_turns", "sscd_embeddings", "clip_image_embeddings", "clip_text_embeddings")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Telling:
    telling = Telling()
    monkeypatch.setattr(image_texts, "load_reader", lambda threads: telling)
    monkeypatch.setattr(image_texts, "reader_id", lambda: "telling@1")
    monkeypatch.setattr(sample, "UNIT_IMAGES", 1)
    telling.texts = {1: said("a", "cat"), 3: said("dog")}
    return telling


def make(folder: Path) -> None:
    # Of the first row two images have text, of the second none.
    write_shard(folder / "source", SUBSET, [Row([image(1), image(3)], turns=2), Row([image(2)]), Row([])])
    run_stages(folder, subset=BEFORE, clip_model=str(small_clip(folder / "clip")))


@pytest.fixture
def with_clip(pipeline: Pipeline, reader: Telling, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Return the jobs on a copy of a subset with CLIP vectors, of which no text was read."""
    made = made_once(tmp_path_factory, "unmasked", make)
    copy_lake(made, pipeline)
    return pipeline.changed(clip_model=str(made / "clip"))


def test_scores_are_those_of_the_image_and_of_the_masked_image(with_clip: Pipeline, tmp_path: Path) -> None:
    ran = run_ocr(with_clip)
    assert ran.success, ran.failures
    assert ran.checks["masked_scores_sound"].passed
    assert ran.metadata("masked_alignment")["images_masked"] == 2
    ask = publish_and_ask(with_clip, tmp_path)
    found = ask('SELECT "row", image_index, turn, cosine, cosine_masked, clip_score_masked FROM masked_alignment')
    assert [each[:3] for each in sorted(found)] == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)]
    folder, which = with_clip.settings.clip_model, with_clip.settings.clip_text
    questions = ["question 0", "question 1"]
    texts = {"user": questions, "assistant": ["answer"] * 2, "both": [f"{each}\nanswer" for each in questions]}[which]
    embedder, of_texts = load_clip_images(folder, device="cpu"), load_clip_texts(folder, device="cpu").embed(texts)
    from PIL import Image

    for _, index, turn, cosine, masked, score in found:
        pixels = np.asarray(shapes((1, 3)[int(str(index))]))
        boxes = said("dog").boxes if index else said("a", "cat").boxes
        pair = embedder.embed([Image.fromarray(pixels), Image.fromarray(mask_boxes(pixels, boxes))])
        assert (cosine, masked) == pytest.approx(tuple(pair @ of_texts.vectors[int(str(turn))]), abs=3e-3)
        assert score == pytest.approx(2.5 * max(float(str(masked)), 0))
        assert cosine != pytest.approx(masked, abs=1e-3)
    ((images, turns, fall, below),) = ask(
        "SELECT images, turns, median_fall, share_below_masked FROM masked_alignment_summary"
    )
    scores = np.array(ask("SELECT clip_score, clip_score_masked, cosine_masked FROM masked_alignment"), float)
    assert (images, turns) == (2, 4)
    assert fall == pytest.approx(np.median(scores[:, 0] - scores[:, 1]), abs=1e-6)
    assert below == pytest.approx((scores[:, 2] < 0.28).mean())


def test_a_second_run_embeds_nothing_again(with_clip: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_ocr(with_clip.changed(ocr_sample=2)).success
    before = written_at(with_clip.settings.lake_root, "masked_alignment")
    again = run_ocr(with_clip.changed(ocr_sample=2))
    assert again.metadata("masked_alignment")["units_reused"] == 2
    assert written_at(with_clip.settings.lake_root, "masked_alignment") == before
    more = run_ocr(with_clip)
    assert more.success, more.failures
    assert more.metadata("masked_alignment")["units_reused"] == 2
    assert more.metadata("masked_alignment")["images_masked"] == 2


def test_without_text_in_images_the_table_is_empty(with_clip: Pipeline, reader: Telling, tmp_path: Path) -> None:
    reader.texts = {}
    ran = run_ocr(with_clip)
    assert ran.success, ran.failures
    ask = publish_and_ask(with_clip, tmp_path)
    assert ask("SELECT count(*) FROM masked_alignment") == [(0,)]
    assert ask("FROM masked_alignment_summary") == []


def test_without_weights_nothing_is_made_and_the_metadata_says_why(with_clip: Pipeline) -> None:
    ran = run_ocr(with_clip.changed(clip_model=""))
    assert ran.success, ran.failures
    assert ran.metadata("image_texts")["images_read"] == 3
    assert "VISDIV_CLIP_MODEL is empty" in ran.metadata("masked_alignment")["made_nothing"]
    assert "masked_alignment" not in with_clip.lake.tables()
    run = with_clip.instance.get_run_by_id(ran.result.run_id)
    assert run is not None
    assert run.tags[LEFT_OUT_TAG] == "no CLIP weights"


def test_other_weights_than_those_of_the_images_are_refused(with_clip: Pipeline, tmp_path: Path) -> None:
    other = small_clip(tmp_path / "other", seed=1)
    line = run_ocr(with_clip.changed(clip_model=str(other))).failures["masked_alignment"]
    assert "were embedded with clip@" in str(line)
    assert "run `visdiv run some` with CLIP weights in VISDIV_CLIP_MODEL" in str(line)
