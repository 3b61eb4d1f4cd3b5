"""The assets `image_types`, `clip_image_tags`, `listed_words` and `image_listed_words`, and their tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visdiv_assets.curation.image_types.by_features import feature_weights
from visdiv_assets.curation.image_types.zero_shot import TOPICS, PromptVectors, zero_shot_scores
from visdiv_assets.embedding.loading import load_clip_images, load_clip_texts
from visdiv_assets.orchestration.assets import image_texts
from visdiv_assets_tests.conftest import Pipeline, Row, image, other_model, shapes, written_at
from visdiv_assets_tests.curation.fit_image_types import measured
from visdiv_assets_tests.orchestration.assets.test_image_texts import (
    SUBSET,
    Telling,
    publish_and_ask,
    run_ocr,
    said,
)
from visdiv_assets_tests.testing.clip_models import small_clip

BEFORE = ("subset_images", "subset_turns", "subset_thumbnails", "sscd_embeddings", "clip_image_embeddings")
MADE = ("image_types", "clip_image_tags", "listed_words")


@pytest.fixture
def with_clip(pipeline: Pipeline, tmp_path: Path) -> Pipeline:
    (tmp_path / "words.txt").write_text("Answer\nquestion 1\nnever there\n", encoding="utf-8")
    # Image 1 is at two positions; the second row has two turns.
    pipeline.write(SUBSET, [Row([image(1), image(2)]), Row([image(1), b"unreadable"], turns=2), Row([])])
    return pipeline.changed(
        clip_model=str(small_clip(tmp_path / "clip")), blocklist=str(tmp_path / "words.txt"), ocr_sample=0
    )


def make(pipeline: Pipeline) -> None:
    ran = pipeline.run(SUBSET, only=[*BEFORE, *MADE], sscd=other_model("color"))
    assert ran.success, ran.failures
    assert ran.checks["every_image_measured"].passed
    assert "tag_scores_sound" not in ran.checks or ran.checks["tag_scores_sound"].passed


def test_types_are_at_every_readable_position_by_both_methods(with_clip: Pipeline, tmp_path: Path) -> None:
    make(with_clip)
    ask = publish_and_ask(with_clip, tmp_path)
    found = ask("SELECT \"row\", image_index, type, score FROM image_types WHERE method = 'features' ORDER BY ALL")
    types, scores = feature_weights().classify(measured([image(1), image(2)]))
    expected = [(0, 0, 0), (0, 1, 1), (1, 0, 0)]
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    for (_, _, kind, score), (_, _, index) in zip(found, expected, strict=True):
        assert kind == types[index].as_py()
        assert score == pytest.approx(scores[index].as_py(), abs=1e-4)
    folder = with_clip.settings.clip_model
    texts = load_clip_texts(folder, device="cpu")
    prompts = PromptVectors.embed(lambda each: texts.embed(each).vectors)
    vectors = load_clip_images(folder, device="cpu").embed([shapes(1), shapes(2)]).astype(np.float16)
    (plain,) = [batch.to_pylist() for batch in zero_shot_scores([vectors], prompts)]
    by_clip = ask("SELECT \"row\", image_index, type, score FROM image_types WHERE method = 'clip' ORDER BY ALL")
    topics = ask(f'SELECT "row", image_index, score, {", ".join(TOPICS)} FROM inappropriate_images ORDER BY ALL')
    for typed, scored, (row, index, which) in zip(by_clip, topics, expected, strict=True):
        assert typed[:3] == (row, index, plain[which]["type"])
        assert typed[3] == pytest.approx(plain[which]["type_score"], abs=1e-3)
        assert scored[2:] == pytest.approx([plain[which][name] for name in ("score", *TOPICS)], abs=1e-3)


def test_the_summaries_count_positions(with_clip: Pipeline, tmp_path: Path) -> None:
    make(with_clip)
    ask = publish_and_ask(with_clip, tmp_path)
    counted = "SELECT method::VARCHAR, sum(images), sum(share) FROM image_type_summary GROUP BY method ORDER BY 1"
    assert ask(counted) == [("clip", 3, pytest.approx(1)), ("features", 3, pytest.approx(1))]
    assert ask("SELECT sum(images) FROM image_type_agreement") == [(3,)]
    summary = "SELECT topic::VARCHAR, images, highest, images_closer FROM inappropriate_image_summary ORDER BY 1"
    for topic, images, highest, closer in ask(summary):
        scores = np.array(ask(f"SELECT {topic} FROM inappropriate_images"), float)
        assert (images, closer) == (3, int((scores > 0.5).sum()))
        assert highest == pytest.approx(scores.max())


def test_listed_words_are_published_by_turn(with_clip: Pipeline, tmp_path: Path) -> None:
    make(with_clip)
    ask = publish_and_ask(with_clip, tmp_path)
    assert ask('SELECT "row", turn, image_index, side::VARCHAR, word FROM listed_words ORDER BY ALL') == [
        (0, 0, None, "assistant", "answer"),
        (1, 0, None, "assistant", "answer"),
        (1, 1, None, "assistant", "answer"),
        (1, 1, None, "user", "question 1"),
        (2, 0, None, "assistant", "answer"),
    ]
    summary = 'SELECT side::VARCHAR, "rows", words, matches, share FROM listed_word_summary ORDER BY 1'
    assert ask(summary) == [
        ("assistant", 3, 1, 4, pytest.approx(1)),
        ("user", 1, 1, 1, pytest.approx(1 / 3)),
    ]


def test_a_second_run_makes_nothing_again_unless_the_list_changes(with_clip: Pipeline) -> None:
    make(with_clip)
    before = {name: written_at(with_clip.settings.lake_root, name) for name in MADE}
    make(with_clip)
    assert {name: written_at(with_clip.settings.lake_root, name) for name in MADE} == before
    Path(with_clip.settings.blocklist).write_text("question 0\n", encoding="utf-8")
    make(with_clip)
    after = {name: written_at(with_clip.settings.lake_root, name) for name in MADE}
    assert {name for name in MADE if after[name] != before[name]} == {"listed_words"}


def test_without_weights_there_are_types_by_features_only(with_clip: Pipeline, tmp_path: Path) -> None:
    make(with_clip.changed(clip_model=""))
    ask = publish_and_ask(with_clip, tmp_path)
    assert ask("SELECT DISTINCT method::VARCHAR FROM image_types") == [("features",)]
    assert ask("SELECT count(*) FROM inappropriate_images") == [(0,)]


def test_words_in_images_are_found_in_what_was_read(
    with_clip: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Telling()
    reader.texts = {1: said("the", "ANSWER"), 2: said("nothing")}
    monkeypatch.setattr(image_texts, "load_reader", lambda threads: reader)
    monkeypatch.setattr(image_texts, "reader_id", lambda: "telling@1")
    without = with_clip.changed(clip_model="")
    make(without)
    ran = run_ocr(without)
    assert ran.success, ran.failures
    ask = publish_and_ask(without, tmp_path)
    found = ask("SELECT \"row\", turn, image_index, word FROM listed_words WHERE side = 'image'")
    assert found == [(0, None, 0, "answer")]
    assert ("image", 1) in ask('SELECT side::VARCHAR, "rows" FROM listed_word_summary')

    # Texts are searched by the new list with every run, images only when they are read.
    (tmp_path / "words.txt").write_text("question\n", encoding="utf-8")
    make(without)
    ask = publish_and_ask(without, tmp_path)
    assert ask("SELECT DISTINCT side::VARCHAR, word FROM listed_words") == [("user", "question")]
    assert ask("SELECT side::VARCHAR FROM listed_word_summary ORDER BY side") == [("user",), ("assistant",)]


def test_tags_of_earlier_images_are_not_published(with_clip: Pipeline, tmp_path: Path) -> None:
    make(with_clip)
    with_clip.write(SUBSET, [Row([image(3)])])
    without = with_clip.changed(clip_model="")
    make(without)
    ask = publish_and_ask(without, tmp_path)
    assert ask("SELECT DISTINCT method::VARCHAR FROM image_types") == [("features",)]
    assert ask("SELECT count(*) FROM inappropriate_images") == [(0,)]


def test_without_thumbnails_no_image_has_a_type(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(SUBSET, [Row([image(1)])])
    without = pipeline.changed(thumbnail_side=0)
    ran = without.run(SUBSET, only=[*BEFORE, "image_types"], sscd=other_model("color"))
    assert ran.success, ran.failures
    assert ran.checks["every_image_measured"].passed
    assert publish_and_ask(without, tmp_path)("SELECT count(*) FROM image_types") == [(0,)]
